package settings

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
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
	Reset bool   // back to the default, which is not kept
	Entry accounts.Entry
}

// Store keeps the settings that are not at their default.
type Store interface {
	// StoredSettings returns them in no order.
	StoredSettings(ctx context.Context) ([]Stored, error)
	// ChangeSettings calls decide with what is stored, which nobody else changes
	// meanwhile, and stores the changes that it returns with their entries of the
	// audit log, all or none.
	ChangeSettings(ctx context.Context, by string, decide func([]Stored) ([]Change, error)) error
}

// Setting is a definition with the value that holds.
type Setting struct {
	Definition
	Value     string                     `json:"value"`
	Changed   bool                       `json:"changed"` // somebody gave a value that is not the default
	ChangedAt market.Optional[time.Time] `json:"changed_at"`
	ChangedBy string                     `json:"changed_by,omitempty"`
	// Problem says why the value that somebody gave cannot be used, so that the
	// default holds; empty where it can.
	Problem string `json:"problem,omitempty"`
}

// Service reads and changes settings. It is safe for concurrent use.
type Service struct {
	store Store
	log   *slog.Logger

	mutex    sync.Mutex
	reported map[Name]string // values that cannot be used, of which the log has been told
}

// NewService returns a service on a store.
func NewService(store Store, log *slog.Logger) *Service { return &Service{store: store, log: log} }

// Get returns the values that hold. A stored value that this release does not take any
// more is logged once, and the default holds in its place.
func (s *Service) Get(ctx context.Context) (Settings, error) {
	stored, err := s.store.StoredSettings(ctx)
	if err != nil {
		return Settings{}, err
	}
	values := valuesOf(stored)
	settings, problems := parse(values)
	s.report(ctx, values, problems)
	return settings, nil
}

// report logs the problems that are not those of before: settings are read all the time.
func (s *Service) report(ctx context.Context, values map[Name]string, problems map[Name]error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	reported := map[Name]string{}
	for name, value := range values {
		problem := problems[name]
		if problem == nil {
			continue
		}
		reported[name] = value
		if before, known := s.reported[name]; !known || before != value {
			s.log.WarnContext(ctx, "a stored setting cannot be used, its default holds", slog.Any("error", problem))
		}
	}
	s.reported = reported
}

// List returns every setting with its value.
func (s *Service) List(ctx context.Context) ([]Setting, error) {
	stored, err := s.store.StoredSettings(ctx)
	if err != nil {
		return nil, err
	}
	_, problems := parse(valuesOf(stored))
	settings := make([]Setting, len(definitions))
	for i, d := range definitions {
		settings[i] = Setting{Definition: d, Value: d.Default}
		for _, changed := range stored {
			if changed.Name != d.Name {
				continue
			}
			settings[i].Value, settings[i].Changed = changed.Value, true
			settings[i].ChangedAt, settings[i].ChangedBy = market.Some(changed.ChangedAt), changed.ChangedBy
			if problem := problems[d.Name]; problem != nil {
				settings[i].Value, settings[i].Problem = d.Default, market.ErrorMessage(problem)
			}
		}
	}
	return settings, nil
}

// Set changes settings together, all or none: nil puts one back to its default. Its
// errors are NotFound for a name that no setting has, and Invalid, which name the
// setting, for a value that is not accepted or does not go with another one's.
func (s *Service) Set(ctx context.Context, by accounts.Caller, values map[Name]*string) error {
	for name := range values {
		if _, err := definitionOf(name); err != nil {
			return err
		}
	}
	return s.store.ChangeSettings(ctx, by.Username, func(stored []Stored) ([]Change, error) {
		now := valuesOf(stored)
		var changes []Change
		for _, d := range definitions {
			value, asked := values[d.Name]
			if !asked {
				continue
			}
			before, isStored := now[d.Name]
			if !isStored {
				before = d.Default
			}
			after := d.Default
			if value != nil {
				var err error
				if after, err = d.parse(*value); err != nil {
					return nil, err
				}
			}
			reset := after == d.Default
			if reset && !isStored || !reset && before == after {
				continue
			}
			now[d.Name] = after
			changes = append(changes, Change{Name: d.Name, Value: after, Reset: reset, Entry: accounts.EntryOf(
				by, accounts.ChangeSetting, string(d.Name), accounts.Done, map[string]string{"before": before, "after": after})})
		}
		// Together with what was stored before. What is wrong with that alone does not
		// stand in the way of other changes.
		_, problems := parse(now)
		for _, d := range definitions {
			if _, asked := values[d.Name]; asked && problems[d.Name] != nil {
				return nil, problems[d.Name]
			}
		}
		return changes, nil
	})
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
