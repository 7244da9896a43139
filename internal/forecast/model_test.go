package forecast

import (
	"bytes"
	"crypto/sha256"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cryptoboat/cryptoboat/internal/market"
)

var btc = market.Series{Symbol: "BTCUSDT", Interval: market.Minute15}

func syntheticSamples(count int) *samples {
	own, other := synthetic(1, market.Minute15, count), synthetic(2, market.Minute15, count)
	return newSamples(newTrack(market.Minute15, own), newTrack(market.Minute15, other),
		market.TimeRange{Start: start, End: start.AddDate(10, 0, 0)})
}

var madeFineSamples = map[int]*samples{}

// fineSamples hold the inside of their candles as well. They are made once: a test
// does not change them.
func fineSamples(t testing.TB, count int) *samples {
	t.Helper()
	if madeFineSamples[count] == nil {
		s, err := NewForecaster(newFineMemory(count), nil).samples(t.Context(), btc, all)
		if err != nil {
			t.Fatal(err)
		}
		madeFineSamples[count] = s
	}
	return madeFineSamples[count]
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
	opening := make([]float64, len(openingNames))
	type pair struct{ width, actual float64 }
	pairs := make([]pair, unseen.len())
	for k := range pairs {
		pairs[k] = pair{h.width(unseen.look(opening, k)), math.Abs(unseen.rest(k))}
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
	s := fineSamples(t, 12000)
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
	if !m.direction.Inside || m.rest.Coefficients[1] == 0 {
		t.Errorf("the model has learnt nothing of the inside of candles: %+v, %+v", m.direction, m.rest)
	}
	opening := make([]float64, len(openingNames))
	var v vision
	for k := 0; k < s.len(); k += 97 {
		l, p := s.look(opening, k), s.rows[k].progress
		a, errA := m.predict(&v, l, p)
		b, errB := decoded.predict(new(vision), l, p)
		if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("row %d: %v (%v) is %v (%v) after the file", k, a, errA, b, errB)
		}
		if !slices.IsSorted(a.quantiles) {
			t.Fatalf("row %d: quantiles cross: %v", k, a.quantiles)
		}
		for _, probability := range []float64{a.rises, a.aboveOpen, a.analytic} {
			if !(probability >= 0 && probability <= 1) {
				t.Fatalf("row %d: the probabilities are %+v", k, a)
			}
		}
		for _, name := range baselineNames {
			if a, b := m.baseline(name, l, p), decoded.baseline(name, l, p); !reflect.DeepEqual(a, b) || !slices.IsSorted(a.quantiles) {
				t.Fatalf("row %d: baseline %s is %v, after the file %v", k, name, a, b)
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
		l := look{opening: make([]float64, len(openingNames)), interval: market.Minute15, open: start, usual: 100}
		for _, p := range []progress{untraded(40000), halfway} {
			o, err := m.predict(new(vision), l, p)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range []outlook{o, m.baseline(ewma, l, p), m.baseline(harName, l, p)} {
				for k, q := range o.quantiles {
					if math.IsNaN(q) || math.IsInf(q, 0) || k > 0 && q < o.quantiles[k-1] {
						t.Fatalf("the quantiles are %v", o.quantiles)
					}
				}
				for _, probability := range []float64{o.rises, o.aboveOpen, o.analytic} {
					if !(probability >= 0 && probability <= 1) {
						t.Fatalf("the probabilities are %+v", o)
					}
				}
			}
		}
	})
}

func TestWalkForwardHoldsWhatItPromises(t *testing.T) {
	f := NewForecaster(newFineMemory(25000), nil)
	first := time.Date(2024, time.June, 1, 0, 0, 0, 0, time.UTC)
	var months []Metrics
	evaluation, err := f.WalkForward(t.Context(), btc, start, market.TimeRange{Start: first, End: first.AddDate(0, 3, 0)},
		func(m Metrics) { months = append(months, m) })
	if err != nil {
		t.Fatal(err)
	}
	whole := evaluation.Whole
	rows := 0
	for k, m := range months {
		rows += m.Rows
		if want := first.AddDate(0, k, 0); !m.Fold.Start.Equal(want) {
			t.Errorf("fold %d begins at %s", k, m.Fold.Start)
		}
	}
	if len(months) != 3 || rows != whole.Rows || whole.Rows != 96*(30+31+31) || len(whole.Quarters) != quarters {
		t.Errorf("%d months of %d rows, %d in all, %d quarters", len(months), rows, whole.Rows, len(whole.Quarters))
	}
	for stage, scores := range append([]Scores{whole.Scores}, whole.Quarters...) {
		if scores.Rows != whole.Rows {
			t.Errorf("stage %d: %d rows, not one of each candle", stage, scores.Rows)
		}
		for k, held := range []float64{scores.Coverage50, scores.Coverage80, scores.Coverage90, scores.Coverage95} {
			if level := measuredLevels[k]; math.Abs(held-level) > 0.03 {
				t.Errorf("stage %d: the %.0f %% band holds %.3f", stage, 100*level, held)
			}
		}
		// The direction is pure chance: whoever claims skill has seen the future.
		if scores.PointSkill > 0.005 || scores.PointSkill < -0.01 || scores.PointSkillLow > 0 || scores.PointSkillHigh < scores.PointSkill {
			t.Errorf("stage %d: skill %.4f [%.4f, %.4f] on a random walk",
				stage, scores.PointSkill, scores.PointSkillLow, scores.PointSkillHigh)
		}
		if scores.Brier < scores.BrierAnalytic*0.985 || scores.Brier > scores.BrierAnalytic*1.015 {
			t.Errorf("stage %d: Brier %.4f on a random walk, of which the normal distribution knows all there is, %.4f",
				stage, scores.Brier, scores.BrierAnalytic)
		}
		losses := map[string]float64{}
		for _, b := range scores.Baselines {
			losses[b.Name] = b.PinballLoss
		}
		if !(scores.PinballLoss < losses[ewma] && losses[harName] < losses[ewma] && losses[ewma] < losses[priceStays]) {
			t.Errorf("stage %d: pinball losses: forest %.3f, %v", stage, scores.PinballLoss, losses)
		}
		t.Logf("stage %d: skill %.4f [%.4f, %.4f], hit rate %.3f, Brier %.4f (%.4f), coverage %.3f %.3f %.3f %.3f, pinball %.3f %v",
			stage, scores.PointSkill, scores.PointSkillLow, scores.PointSkillHigh, scores.HitRate, scores.Brier, scores.BrierAnalytic,
			scores.Coverage50, scores.Coverage80, scores.Coverage90, scores.Coverage95, scores.PinballLoss, losses)
	}
	if whole.HitRate > 0.53 || whole.Brier < 0.245 {
		t.Errorf("hit rate %.3f, Brier %.4f on a random walk", whole.HitRate, whole.Brier)
	}
	// Nobody earns his costs by chance.
	if actions := whole.Trading; actions.Buys+actions.Sells+actions.Holds != whole.Rows || actions.Holds < whole.Rows*99/100 {
		t.Errorf("on a random walk it would do %+v", actions)
	}
}

func TestSamplesBeforeAnInstantHaveClosedByThen(t *testing.T) {
	s := fineSamples(t, 1000)
	const rows = 1 + 4 // of a candle
	instant := s.open(100 * rows)
	if n := s.before(instant).len(); n != 100*rows {
		t.Errorf("%d samples before the open of the 101st candle", n)
	}
	if n := s.before(instant.Add(time.Minute)).len(); n != 100*rows {
		t.Errorf("%d samples a minute later: the 101st candle is still open", n)
	}
	if n := s.since(instant).len(); n != s.len()-100*rows {
		t.Errorf("%d samples since", n)
	}
}

func TestLessonsAreTheOpenAndOneInstantWithin(t *testing.T) {
	s := fineSamples(t, 1000)
	picked := s.lessons()
	if picked.len() != 2*s.openings().len() || s.openings().len() != s.len()/5 {
		t.Fatalf("%d lessons of %d candles, %d rows", picked.len(), s.openings().len(), s.len())
	}
	var taken [quarters]int
	for k := 0; k < picked.len(); k += 2 {
		open, inside := picked.rows[k], picked.rows[k+1]
		if open.candle != inside.candle || !open.atOpen() || inside.atOpen() {
			t.Fatalf("candle %d: %+v, then %+v", k/2, open, inside)
		}
		taken[inside.quarter()]++
	}
	for quarter, n := range taken {
		if share := float64(n) / float64(picked.len()/2); math.Abs(share-0.25) > 0.1 {
			t.Errorf("quarter %d is looked into %d times of %d", quarter, n, picked.len()/2)
		}
	}
	for k, again := range s.lessons().rows {
		if was := picked.rows[k]; again.candle != was.candle || again.elapsed != was.elapsed {
			t.Fatalf("lesson %d is %+v the second time, was %+v", k, again, was)
		}
	}
	// Where nothing finer is known, the open is all there is to learn from.
	if coarse := syntheticSamples(1000); coarse.lessons().len() != coarse.len() {
		t.Errorf("%d lessons of %d candles", coarse.lessons().len(), coarse.len())
	}
}
