package provider

import "net/http"

// The end session endpoint (OpenID Connect RP-Initiated Logout 1.0).

// serveLogout ends the browser's session and sends it back to the client where
// that asks for it. Otherwise, and without a client, a page says so.
func (p *Provider) serveLogout(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || repeated(r.Form) != "" {
		http.Error(w, "the request is malformed", http.StatusBadRequest)
		return
	}
	client, hint := r.Form.Get("client_id"), r.Form.Get("id_token_hint")
	if hint != "" {
		claims, err := p.verify(hint, "JWT")
		if err != nil || !claims.Audience.Contains(p.config.Login.ID) {
			http.Error(w, "id_token_hint is not a token of this provider's", http.StatusBadRequest)
			return
		}
		if client == "" {
			client = p.config.Login.ID
		}
	}
	back := r.Form.Get("post_logout_redirect_uri")
	u := onLoopback(back)
	if back != "" && (client != p.config.Login.ID || u == nil) {
		http.Error(w, "post_logout_redirect_uri is not registered for the client (want a loopback origin)", http.StatusBadRequest)
		return
	}
	p.signOut(r)
	setCookie(w, "", -1)
	if u == nil {
		p.showPage(w, page{Title: "You are signed out"}, "'none'")
		return
	}
	if state := r.Form.Get("state"); state != "" {
		query := u.Query()
		query.Set("state", state)
		u.RawQuery = query.Encode()
	}
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}
