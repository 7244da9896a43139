package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/settings"
)

// Settings reads and changes settings.
type Settings interface {
	List(ctx context.Context) ([]settings.Setting, error)
	Set(ctx context.Context, by accounts.Caller, values map[settings.Name]*string) error
}

type setting struct {
	Name        string     `json:"name" example:"symbols"`
	Kind        string     `json:"kind" enum:"list,instant,interval,seconds,share,schedule"`
	Description string     `json:"description"`
	Accepts     string     `json:"accepts" doc:"What would be accepted."`
	Default     string     `json:"default"`
	Value       string     `json:"value" doc:"What holds."`
	Changed     bool       `json:"changed" doc:"Whether somebody changed it."`
	ChangedAt   *time.Time `json:"changed_at" doc:"Null where nobody did."`
	ChangedBy   string     `json:"changed_by" doc:"Empty where nobody did."`
}

type settingList struct {
	Settings []setting `json:"settings"`
}

func registerSettings(api huma.API, s Settings) {
	tags := []string{"settings"}
	list := func(ctx context.Context) (*body[settingList], error) {
		known, err := s.List(ctx)
		answered := settingList{Settings: []setting{}}
		for _, k := range known {
			answered.Settings = append(answered.Settings, setting{
				string(k.Name), string(k.Kind), k.Description, k.Accepts, k.Default, k.Value, k.Changed, utcOrNull(k.ChangedAt), k.ChangedBy,
			})
		}
		return answerWith(answered, err)
	}
	register(api, huma.Operation{
		OperationID: "list-settings", Method: http.MethodGet, Path: "/v1/settings", Tags: tags, Security: forUsers,
		Summary: "List settings", Description: "Each with what it is for, what it takes, its default, and who changed it last.",
	}, func(ctx context.Context, _ *struct{}) (*body[settingList], error) { return list(ctx) })
	register(api, huma.Operation{
		OperationID: "change-settings", Method: http.MethodPut, Path: "/v1/settings", Tags: tags, Security: forAdmins,
		Summary:     "Change settings",
		Description: "All or none of those that are named; null puts one back to its default. They hold within seconds, without a restart.",
		Errors:      []int{http.StatusNotFound},
	}, func(ctx context.Context, input *struct {
		Body map[string]*string `doc:"Values by name." example:"{\"symbols\":\"BTCUSDT,ETHUSDT\"}"`
	}) (*body[settingList], error) {
		values := map[settings.Name]*string{}
		for name, value := range input.Body {
			values[settings.Name(name)] = value
		}
		if err := s.Set(ctx, accounts.CallerOf(ctx), values); err != nil {
			return nil, err
		}
		return list(ctx)
	})
}

func itoa(n int) string { return strconv.Itoa(n) }
