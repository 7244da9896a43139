package settings

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/accounts"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// Stored is a value that somebody gave.
type Stored struct {
	Name      Name
	Value     string
	ChangedAt time.Time
	ChangedBy string
}

// Change is what becomes of one setting.
type Change struct {
	Name  Name
	Value string // as it is kept
	Reset bool   // back to the default; Value is empty
}

// Store keeps the settings that are not at their default.
type Store interface {
	// StoredSettings returns them in no order.
	StoredSettings(ctx context.Context) ([]Stored, error)
	// ChangeSettings calls decide with what is stored, which nobody else changes
	// meanwhile, and stores the changes that it returns with an entry each of the
	// audit log, all or none.
	ChangeSettings(ctx context.Context, decide func([]Stored) ([]Change, error), entry func(before string, change Change) accounts.Entry, by string) error
}

// Setting is a definition with the value that holds.
type Setting struct {
	Definition
	Value     string                     `json:"value"`
	Changed   bool                       `json:"changed"` // it is not at its default
	ChangedAt market.Optional[time.Time] `json:"changed_at"`
	ChangedBy string                     `json:"changed_by,omitempty"`
}

// Service reads and changes settings. It is safe for concurrent use.
type Service struct {
	store Store
	log   *slog.Logger
}

// NewService returns a service on a store.
func NewService(store Store, log *slog.Logger) *Service { return &Service{store: store, log: log} }

// Get returns the values that hold. A stored value that this release does not take any
// more is logged, and the default holds in its place.
func (s *Service) Get(ctx context.Context) (Settings, error) {
	stored, err := s.store.StoredSettings(ctx)
	if err != nil {
		return Settings{}, err
	}
	settings, problems := parse(valuesOf(stored))
	for _, problem := range problems {
		s.log.WarnContext(ctx, "a stored setting cannot be used, its default holds", slog.Any("error", problem))
	}
	return settings, nil
}

// List returns every setting with its value.
func (s *Service) List(ctx context.Context) ([]Setting, error) {
	stored, err := s.store.StoredSettings(ctx)
	if err != nil {
		return nil, err
	}
	settings := make([]Setting, len(definitions))
	for i, d := range definitions {
		settings[i] = Setting{Definition: d, Value: d.Default}
		for _, changed := range stored {
			if changed.Name == d.Name {
				settings[i].Value, settings[i].Changed = changed.Value, true
				settings[i].ChangedAt, settings[i].ChangedBy = market.Some(changed.ChangedAt), changed.ChangedBy
			}
		}
	}
	return settings, nil
}

// Set changes settings together, all or none: nil puts one back to its default. Its
// errors are NotFound for a name that no setting has, and Invalid, which name the
// setting, for a value that is not accepted or does not go with another one's.
func (s *Service) Set(ctx context.Context, by accounts.Caller, values map[Name]*string) error {
	decide := func(stored []Stored) ([]Change, error) {
		now := valuesOf(stored)
		var changes []Change
		for _, d := range definitions {
			value, asked := values[d.Name]
			switch before, changed := now[d.Name]; {
			case !asked:
			case value == nil && changed:
				delete(now, d.Name)
				changes = append(changes, Change{Name: d.Name, Reset: true})
			case value != nil:
				if len(*value) > mostTextBytes {
					return nil, named(d.Name, market.Errorf(market.Invalid, "the value is longer than %d bytes", mostTextBytes))
				}
				kept, err := d.set(new(Settings), *value)
				if err != nil {
					return nil, named(d.Name, err)
				}
				if changed && kept == before || !changed && kept == d.Default {
					continue
				}
				now[d.Name] = kept
				changes = append(changes, Change{Name: d.Name, Value: kept})
			}
		}
		// Together with what was stored before, which may be past its time.
		settings, _ := parse(now)
		for _, problem := range settings.check() {
			return nil, problem
		}
		return changes, nil
	}
	for name := range values {
		if _, err := definitionOf(name); err != nil {
			return err
		}
	}
	return s.store.ChangeSettings(ctx, decide, func(before string, change Change) accounts.Entry {
		d, _ := definitionOf(change.Name) // decide knows no others
		if before == "" {
			before = d.Default
		}
		after := change.Value
		if change.Reset {
			after = d.Default
		}
		return accounts.EntryOf(by, accounts.ChangeSetting, string(change.Name), accounts.Done, map[string]string{"before": before, "after": after})
	}, by.Username)
}

func valuesOf(stored []Stored) map[Name]string {
	values := make(map[Name]string, len(stored))
	for _, v := range stored {
		values[v.Name] = v.Value
	}
	return values
}

// Watch calls changed with the settings that hold whenever they are others than
// before, of which it learns within every; from holds the ones that are known. A
// database that does not answer is asked again. It returns when ctx ends.
func (s *Service) Watch(ctx context.Context, from Settings, every time.Duration, changed func(Settings)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := s.Get(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.log.DebugContext(ctx, "settings could not be read", slog.Any("error", err))
			}
			continue
		}
		if !reflect.DeepEqual(now, from) {
			from = now
			changed(now)
		}
	}
}
