package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the Caddyfile adapter
	_ "github.com/caddyserver/caddy/v2/modules/standard"          // Caddy's own modules

	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/standard" // the gateway's
)

// gatewayConfig adapts a Caddyfile and keeps what it starts to this machine
// and to folder: Caddy listens on loopback alone, stores there what it stores,
// logs to the file log (unless that is empty), and does not remember the
// configuration.
func gatewayConfig(caddyfile, folder, log string) ([]byte, error) {
	text, err := os.ReadFile(caddyfile)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": caddyfile})
	if err != nil {
		return nil, fmt.Errorf("adapting %s: %w", caddyfile, err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(adapted, &config); err != nil {
		return nil, fmt.Errorf("reading the adapted configuration: %w", err)
	}
	at(config, "admin", "config")["persist"] = false
	config["storage"] = map[string]any{"module": "file_system", "root": folder}
	for _, server := range at(config, "apps", "http", "servers") {
		if s, ok := server.(map[string]any); ok {
			onLoopback(s)
		}
	}
	if log != "" {
		logTo(at(config, "logging", "logs"), log)
	}
	out, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	return out, nil
}

// logTo sends what every log gets to a file. The default log stays where it is
// and falls silent instead: Caddy would announce on standard error that it
// moved.
func logTo(logs map[string]any, file string) {
	writer := map[string]any{"output": "file", "filename": file}
	for name, l := range logs {
		if settings, ok := l.(map[string]any); ok && name != "default" {
			settings["writer"] = writer
		}
	}
	standard := at(logs, "default")
	everything := maps.Clone(standard)
	everything["writer"] = writer
	logs["demo"] = everything
	standard["level"] = "FATAL"
}

func onLoopback(server map[string]any) {
	addresses, _ := server["listen"].([]any)
	for i, a := range addresses {
		if text, ok := a.(string); ok && strings.HasPrefix(text, ":") {
			addresses[i] = "127.0.0.1" + text
		}
	}
}

// at is the object at a path, made where it is missing.
func at(object map[string]any, path ...string) map[string]any {
	for _, name := range path {
		next, ok := object[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			object[name] = next
		}
		object = next
	}
	return object
}
