package forecast

import (
	"reflect"
	"slices"
	"testing"
)

// Synthetic candles have returns whose size depends on that of the ones before and on
// the hour; all else is chance.
func TestImportanceFindsWhatMatters(t *testing.T) {
	s := syntheticSamples(16000)
	m, err := fit(t.Context(), s.slice(0, 13000), nil)
	if err != nil {
		t.Fatal(err)
	}
	unseen := s.slice(13000, s.len())
	important, err := m.importance(t.Context(), unseen)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.importance(t.Context(), unseen); err != nil || !reflect.DeepEqual(again, important) {
		t.Errorf("measured again it is %v, %v", again, err)
	}
	worth := map[string]float64{}
	for k, i := range important {
		worth[i.Feature] = i.PinballLoss
		if k > 0 && i.PinballLoss > important[k-1].PinballLoss {
			t.Errorf("%s comes after %s", i.Feature, important[k-1].Feature)
		}
	}
	if len(worth) != len(featureNames) {
		t.Errorf("%d features are measured of %d", len(worth), len(featureNames))
	}
	var best []string
	for _, i := range important[:3] {
		best = append(best, i.Feature)
	}
	slices.Sort(best)
	if want := []string{"hour_sine", "range_96", "volume_4"}; !slices.Equal(best, want) {
		t.Errorf("%v are the most important, want %v: %v", best, want, important)
	}
	for _, chance := range []string{"return_3", "taker_share_1", "weekday", "companion_return_1"} {
		if worth[chance] > worth["hour_sine"]/10 {
			t.Errorf("%s is worth %.4f bp, the hour %.4f bp", chance, worth[chance], worth["hour_sine"])
		}
	}
}

func TestImportanceSeesTheInsideOfCandles(t *testing.T) {
	s := fineSamples(t, 14000)
	cut := s.len() * 9 / 10
	m, err := fit(t.Context(), s.slice(0, cut), nil)
	if err != nil {
		t.Fatal(err)
	}
	important, err := m.importance(t.Context(), s.slice(cut, s.len()))
	if err != nil {
		t.Fatal(err)
	}
	inside := 0.0
	for _, i := range important {
		if slices.Contains(insideNames, i.Feature) {
			inside = max(inside, i.PinballLoss)
		}
	}
	if inside <= 0 {
		t.Errorf("nothing that is seen inside is worth anything: %v", important)
	}
}
