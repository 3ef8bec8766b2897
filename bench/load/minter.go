package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// keySetFile is the file's name in the folder of the run.
const keySetFile = "keys.json"

// minter makes tokens of about 1,300 characters with twenty groups.
type minter struct {
	key    *rsa.PrivateKey
	issuer string
	made   int
}

// newMinter writes the issuer's keys into a file, so that no key server is asked.
func newMinter(folder, issuer string) (*minter, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "kid": "bench", "alg": "RS256", "use": "sig",
		"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
	}}})
	if err != nil {
		return nil, err
	}
	return &minter{key: key, issuer: issuer}, os.WriteFile(filepath.Join(folder, keySetFile), set, 0o600)
}

// mint makes n tokens that are new, on both processors.
func (m *minter) mint(n int) ([]string, error) {
	tokens := make([]string, n)
	failures := make([]error, 2)
	var wg sync.WaitGroup
	for w := range failures {
		wg.Go(func() {
			for i := w; i < n && failures[w] == nil; i += len(failures) {
				tokens[i], failures[w] = m.token(m.made + i)
			}
		})
	}
	wg.Wait()
	m.made += n
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func (m *minter) token(number int) (string, error) {
	claims := m.claims(number)
	claims["aud"] = "api://legacy"
	return m.sign("at+jwt", claims)
}

// claims are those of a person, for no audience yet.
func (m *minter) claims(number int) map[string]any {
	groups := make([]string, 20)
	for i := range groups {
		groups[i] = fmt.Sprintf("Department-%02d-Members", i)
	}
	now := time.Now()
	return map[string]any{
		"iss": m.issuer, "sub": fmt.Sprintf("00u%08d", number), "cid": "0oa1payroll",
		"jti": fmt.Sprintf("AT.%08d", number), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"scp": []string{"openid", "profile", "email", "groups"}, "email": "ada@example.com", "name": "Ada Ampere", "groups": groups,
	}
}

func (m *minter) sign(typ string, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := encode([]byte(`{"alg":"RS256","kid":"bench","typ":"`+typ+`"}`)) + "." + encode(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, m.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + encode(signature), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
