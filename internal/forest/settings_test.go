package forest

import (
	"math"
	"strings"
	"testing"
)

func TestSettingsValidate(t *testing.T) {
	if err := DefaultSettings().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	tests := []struct {
		setting string
		set     func(*Settings)
	}{
		{"Trees", func(s *Settings) { s.Trees = 0 }},
		{"Trees", func(s *Settings) { s.Trees = maxTrees + 1 }},
		{"MaxDepth", func(s *Settings) { s.MaxDepth = 0 }},
		{"MaxDepth", func(s *Settings) { s.MaxDepth = maxDepth + 1 }},
		{"MinLeafRows", func(s *Settings) { s.MinLeafRows = 0 }},
		{"RowShare", func(s *Settings) { s.RowShare = 0 }},
		{"RowShare", func(s *Settings) { s.RowShare = 1.01 }},
		{"RowShare", func(s *Settings) { s.RowShare = math.NaN() }},
		{"ColumnShare", func(s *Settings) { s.ColumnShare = -0.5 }},
		{"ColumnShare", func(s *Settings) { s.ColumnShare = math.Inf(1) }},
	}
	for _, test := range tests {
		settings := DefaultSettings()
		test.set(&settings)
		err := settings.Validate()
		if err == nil || !strings.Contains(err.Error(), test.setting) {
			t.Errorf("%+v: got error %v, want one that names %s", settings, err, test.setting)
		}
		if _, err := Train(t.Context(), []string{"a"}, [][]float64{{1}}, []float64{1}, settings, nil); err == nil {
			t.Errorf("Train accepts %+v", settings)
		}
	}
}
