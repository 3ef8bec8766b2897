package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is one Caddy under load.
type server struct {
	url     string
	command *exec.Cmd
	errors  *bytes.Buffer
}

// start runs a Caddy with one side's configuration and waits until it answers.
func start(ctx context.Context, p plan, s side) (*server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(p.folder, string(s)+"-"+address[strings.LastIndexByte(address, ':')+1:]+".caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile(s, address, p)), 0o600); err != nil {
		return nil, err
	}
	srv := &server{url: "http://" + address + "/" + string(s), errors: new(bytes.Buffer)}
	srv.command = exec.CommandContext(ctx, p.caddy, "run", "--config", file, "--adapter", "caddyfile") //nolint:gosec // the caller's own binary
	srv.command.Stdout, srv.command.Stderr = srv.errors, srv.errors
	// What Caddy writes on the side goes into the run's own folder.
	srv.command.Env = append(os.Environ(), "HOME="+p.folder, "XDG_DATA_HOME="+p.folder, "XDG_CONFIG_HOME="+p.folder)
	if err := srv.command.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if srv.answers(ctx) {
			return srv, nil
		}
		select {
		case <-ctx.Done():
			srv.stop()
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	srv.stop()
	return nil, fmt.Errorf("%s does not answer:\n%s", s, srv.errors)
}

// answers reports whether the server takes requests; that it refuses one
// without a token is an answer.
func (s *server) answers(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil
}

func (s *server) stop() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// caddyfile is a side's configuration.
func caddyfile(s side, address string, p plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tlog {\n\t\tlevel ERROR\n\t}\n")
	enriches, login, upstream := s == keep || s == drop || s == session, "", string(s)
	if s == session {
		login, upstream = "\t\tlogin idp\n", string(drop)
	}
	if enriches {
		fmt.Fprintf(&b, "\ttoken_enrich {\n\t\tissuer %s {\n\t\t\tname idp\n\t\t\taudience api://legacy\n\t\t\tjwks_file %s\n",
			p.issuer, filepath.Join(p.folder, keySetFile))
		if s == session {
			fmt.Fprintf(&b, "\t\t\tlogin {\n\t\t\t\tclient_id %s\n\t\t\t}\n", clientID)
		}
		b.WriteString("\t\t}\n\t}\n")
	}
	fmt.Fprintf(&b, "}\nhttp://%s {\n", address)
	if enriches {
		fmt.Fprintf(&b, "\ttoken_enrich {\n%s\t\theader X-User sub\n\t\theader X-Email email\n\t\theader X-Name name\n"+
			"\t\theader X-Groups groups\n\t\theader X-Client cid\n\t\tupstream_token %s\n\t}\n", login, upstream)
	}
	fmt.Fprintf(&b, "\treverse_proxy %s {\n", p.application)
	if s == headers {
		groups := make([]string, 20)
		for i := range groups {
			groups[i] = fmt.Sprintf("Department-%02d-Members", i)
		}
		for _, line := range [][2]string{
			{"X-User", "00u00000001"},
			{"X-Email", "ada@example.com"},
			{"X-Name", "Ada Ampere"},
			{"X-Groups", strings.Join(groups, ",")},
			{"X-Client", "0oa1payroll"},
		} {
			fmt.Fprintf(&b, "\t\theader_up %s %q\n", line[0], line[1])
		}
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// clockTicks is what /proc counts in on Linux: hundredths of a second
// (proc(5), USER_HZ).
const clockTicks = 100

// processorTimes is the user and system time of each server's process.
func processorTimes(servers ...*server) ([]time.Duration, error) {
	times := make([]time.Duration, len(servers))
	for i, s := range servers {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(s.command.Process.Pid) + "/stat")
		if err != nil {
			return nil, err
		}
		// The name in parentheses may hold anything, also spaces.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 13 {
			return nil, errors.New("reading a process's times: too few fields")
		}
		for _, f := range fields[11:13] { // utime, stime
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("reading a process's times: %w", err)
			}
			times[i] += time.Duration(n) * (time.Second / clockTicks)
		}
	}
	return times, nil
}

// resident is the resident set of the server's process in megabytes.
func (s *server) resident() int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.command.Process.Pid) + "/statm")
	if err != nil {
		return -1
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return -1
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return -1
	}
	return pages * int64(os.Getpagesize()) >> 20
}
