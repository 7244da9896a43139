package forecast

import (
	"bytes"
	"crypto/sha256"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/forest"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

var btc = market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}

func syntheticSamples(count int) *samples {
	own, other := synthetic(1, market.Minute15, count), synthetic(2, market.Minute15, count)
	return newSamples(newTrack(market.Minute15, own), newTrack(market.Minute15, other),
		market.TimeRange{Start: start, End: start.AddDate(10, 0, 0)})
}

func TestHARSeesVolatilityAndItsSeason(t *testing.T) {
	s := syntheticSamples(30000)
	h, err := fitHAR(s.slice(0, 20000))
	if err != nil {
		t.Fatal(err)
	}
	// The mean absolute return is what the width promises, in calm and in wild
	// times alike.
	unseen := s.slice(20000, s.len())
	row := make([]float64, len(s.columns))
	type pair struct{ width, actual float64 }
	pairs := make([]pair, unseen.len())
	for k, open := range unseen.opens {
		unseen.row(row, k)
		pairs[k] = pair{h.width(row, unseen.interval, open), math.Abs(unseen.returns[k])}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if a.width < b.width {
			return -1
		}
		return 1
	})
	tenth := len(pairs) / 10
	var widths []float64
	for d := range 10 {
		var width, actual float64
		for _, p := range pairs[d*tenth : (d+1)*tenth] {
			width, actual = width+p.width, actual+p.actual
		}
		widths = append(widths, width)
		if ratio := actual / width; ratio < 0.88 || ratio > 1.12 {
			t.Errorf("tenth %d: moves are %.2f times as large as expected", d, ratio)
		}
	}
	if widths[9] < 4*widths[0] {
		t.Errorf("the widest tenth is only %.1f times the narrowest", widths[9]/widths[0])
	}
}

func TestHARRefusesWhatNeverMoves(t *testing.T) {
	candles := synthetic(1, market.Minute15, 3000)
	for k := range candles {
		candles[k].Open, candles[k].High, candles[k].Low, candles[k].Close = 1, 1, 1, 1
	}
	still := newTrack(market.Minute15, candles)
	_, err := fitHAR(newSamples(still, still, market.TimeRange{Start: start, End: start.AddDate(1, 0, 0)}))
	if market.ErrorCode(err) != market.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestATrainedModelIsReproducibleAndSurvivesItsFile(t *testing.T) {
	s := syntheticSamples(12000)
	train := func(cores int) (*model, []byte) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
		m, err := fit(t.Context(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		file, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		return m, file
	}
	m, file := train(1)
	if _, again := train(4); !bytes.Equal(file, again) {
		t.Error("one core and four make different models")
	}
	decoded, err := decodeModel(file)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float64, len(s.columns))
	var scratch forest.Distribution
	for k := 0; k < s.len(); k += 97 {
		s.row(row, k)
		a, errA := m.predict(row, s.interval, s.opens[k], &scratch)
		b, errB := decoded.predict(row, s.interval, s.opens[k], &scratch)
		if errA != nil || errB != nil || a.mean != b.mean || a.rises != b.rises || !slices.Equal(a.quantiles, b.quantiles) {
			t.Fatalf("row %d: %v (%v) is %v (%v) after the file", k, a, errA, b, errB)
		}
		if !slices.IsSorted(a.quantiles) {
			t.Fatalf("row %d: quantiles cross: %v", k, a.quantiles)
		}
		for _, name := range baselineNames {
			if a, b := m.baseline(name, row, s.interval, s.opens[k]), decoded.baseline(name, row, s.interval, s.opens[k]); !slices.Equal(a.quantiles, b.quantiles) {
				t.Fatalf("baseline %s differs after the file", name)
			}
		}
	}
	for position := 0; position < len(file); position += 1 + len(file)/200 {
		damaged := bytes.Clone(file)
		damaged[position] ^= 0x40
		if _, err := decodeModel(damaged); market.ErrorCode(err) != market.Unavailable {
			t.Fatalf("byte %d flipped: %v", position, err)
		}
		if _, err := decodeModel(file[:position]); market.ErrorCode(err) != market.Unavailable {
			t.Fatalf("cut off at %d: %v", position, err)
		}
	}
}

func TestAModelOfOtherFeaturesIsRefused(t *testing.T) {
	m, err := fit(t.Context(), syntheticSamples(12000), nil)
	if err != nil {
		t.Fatal(err)
	}
	renamed := featureNames[3]
	featureNames[3] = "something_else"
	file, err := m.encode()
	featureNames[3] = renamed
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeModel(file); market.ErrorCode(err) != market.Unavailable || !strings.Contains(err.Error(), "other features") {
		t.Errorf("got %v", err)
	}
}

func FuzzDecodeModel(f *testing.F) {
	m, err := fit(f.Context(), syntheticSamples(12000), nil)
	if err != nil {
		f.Fatal(err)
	}
	file, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(file[:100])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, file []byte) {
		// With its checksum made right, a damaged file comes further.
		if len(file) >= sha256.Size {
			checksum := sha256.Sum256(file[:len(file)-sha256.Size])
			copy(file[len(file)-sha256.Size:], checksum[:])
		}
		m, err := decodeModel(file)
		if err != nil {
			return
		}
		var scratch forest.Distribution
		row := make([]float64, len(featureNames))
		o, err := m.predict(row, market.Minute15, start, &scratch)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []outlook{o, m.baseline(ewma, row, market.Minute15, start), m.baseline(harName, row, market.Minute15, start)} {
			for k, q := range o.quantiles {
				if math.IsNaN(q) || math.IsInf(q, 0) || k > 0 && q < o.quantiles[k-1] {
					t.Fatalf("the quantiles are %v", o.quantiles)
				}
			}
		}
	})
}

func TestWalkForwardHoldsWhatItPromises(t *testing.T) {
	s := syntheticSamples(25000)
	first := time.Date(2024, time.June, 1, 0, 0, 0, 0, time.UTC)
	var months []Metrics
	whole, err := walkForward(t.Context(), s, market.TimeRange{Start: first, End: first.AddDate(0, 3, 0)},
		func(m Metrics) { months = append(months, m) })
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for k, m := range months {
		rows += m.Rows
		if want := first.AddDate(0, k, 0); !m.Fold.Start.Equal(want) {
			t.Errorf("fold %d begins at %s", k, m.Fold.Start)
		}
	}
	if len(months) != 3 || rows != whole.Rows || whole.Rows != 96*(30+31+31) {
		t.Errorf("%d months of %d rows, %d in all", len(months), rows, whole.Rows)
	}
	if math.Abs(whole.Coverage80-0.8) > 0.03 || math.Abs(whole.Coverage90-0.9) > 0.025 {
		t.Errorf("the bands hold %.3f and %.3f", whole.Coverage80, whole.Coverage90)
	}
	// The direction is pure chance: whoever claims skill has seen the future.
	if whole.PointSkill > 0.005 || whole.HitRate > 0.53 || whole.Brier < 0.245 {
		t.Errorf("skill %.4f, hit rate %.3f, Brier %.4f on a random walk", whole.PointSkill, whole.HitRate, whole.Brier)
	}
	losses := map[string]float64{}
	for _, b := range whole.Baselines {
		losses[b.Name] = b.PinballLoss
	}
	if !(whole.PinballLoss < losses[ewma] && losses[harName] < losses[ewma] && losses[ewma] < losses[priceStays]) {
		t.Errorf("pinball losses: forest %.3f, %v", whole.PinballLoss, losses)
	}
}

func TestSamplesBeforeAnInstantHaveClosedByThen(t *testing.T) {
	s := syntheticSamples(1000)
	instant := s.opens[100]
	if n := s.before(instant).len(); n != 100 {
		t.Errorf("%d samples before the open of the 101st", n)
	}
	if n := s.before(instant.Add(time.Minute)).len(); n != 100 {
		t.Errorf("%d samples a minute later: the 101st is still open", n)
	}
	if n := s.since(instant).len(); n != s.len()-100 {
		t.Errorf("%d samples since", n)
	}
}

func TestMetricsAgainstAnExampleByHand(t *testing.T) {
	var w widthTally
	w.add(outlook{quantiles: []float64{-0.03, -0.02, -0.01, 0, 0.01, 0.02, 0.03}}, 0.025)
	got := w.metrics(1)
	want := (0.05*0.055 + 0.1*0.045 + 0.25*0.035 + 0.5*0.025 + 0.75*0.015 + 0.9*0.005 + 0.05*0.005) / 7 * 1e4
	if math.Abs(got.PinballLoss-want) > 1e-9 || got.Coverage80 != 0 || got.Coverage90 != 1 {
		t.Errorf("got %+v, want a pinball loss of %v", got, want)
	}
}
