package auth

import (
	"net/http"

	"github.com/stratohub/strato/core/internal/httpapi"
	"github.com/stratohub/strato/core/internal/rbac"
)

// Register puts the session into the route table.
func (s *Service) Register(r *httpapi.Router) {
	const path = "/api/session"
	httpapi.HandleOpen(r, http.MethodPost, path, s.Login, httpapi.Summary("Sign in"), httpapi.Status(http.StatusOK),
		httpapi.Errors(http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict),
		httpapi.Description("Sets the cookies of a session and returns its access token. Members of several agencies name one, "+
			"else the answer is 409 `session.tenant_required` with the member `memberships` to choose from."))
	httpapi.HandleOpen(r, http.MethodPost, path+"/refresh", s.Refresh, httpapi.Summary("Renew the session"), httpapi.Status(http.StatusOK),
		httpapi.Errors(http.StatusUnauthorized, http.StatusForbidden),
		httpapi.Description("Takes the cookie `strato_refresh`, which it replaces. A token used twice ends the session."))
	httpapi.HandleControl(r, http.MethodGet, path, rbac.Permission{}, s.Current, httpapi.Summary("Show the session"))
	httpapi.HandleOpen(r, http.MethodDelete, path, s.Logout, httpapi.Summary("Sign out"))
}
