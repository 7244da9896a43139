package dashboard

import (
	"fmt"
	"net/http"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/httpstatus"
	"github.com/cryptoboat/cryptoboat/internal/market"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

// settingsPage shows what can be changed while the service runs.
type settingsPage struct {
	layout
	Settings []settingRow
}

type settingRow struct {
	settings.Setting
	Given   string // what the field holds, which may not have been taken
	Changes string // who changed it, and when
	Trouble string // why it was not taken
	Saved   bool
}

func (d *dashboard) serveSettings(w http.ResponseWriter, r *http.Request, h holdings) {
	d.renderSettings(w, r, http.StatusOK, h, "", "", "")
}

func (d *dashboard) renderSettings(w http.ResponseWriter, r *http.Request, status int, h holdings, name settings.Name, given, trouble string) {
	list, err := d.Settings.List(r.Context())
	if err != nil {
		d.fail(w, r, h, fmt.Errorf("listing settings: %w", err))
		return
	}
	page := settingsPage{layout: newLayout("Settings", h, marketSection, market.Series{})}
	for _, s := range list {
		row := settingRow{Setting: s, Given: s.Value, Saved: r.URL.Query().Get("saved") == string(s.Name)}
		if s.Changed {
			row.Changes = fmt.Sprintf("Changed by %s on %s", s.ChangedBy, instantOrNothing(s.ChangedAt.Value))
		}
		if s.Name == name {
			row.Given, row.Trouble = given, trouble
		}
		page.Settings = append(page.Settings, row)
	}
	d.render(w, r, status, d.settings, page)
}

func (d *dashboard) takeSetting(w http.ResponseWriter, r *http.Request, h holdings) {
	name, given := settings.Name(r.PostFormValue("name")), r.PostFormValue("value")
	value := &given
	if r.PostFormValue("reset") != "" {
		value = nil
	}
	if err := d.Settings.Set(r.Context(), accounts.CallerOf(r.Context()), map[settings.Name]*string{name: value}); err != nil {
		d.renderSettings(w, r, httpstatus.Of(err), h, name, given, d.problemText(w, r, err))
		return
	}
	back(w, r, "/settings?saved="+string(name)+"#"+string(name))
}
