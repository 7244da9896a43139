package forecast

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cryptoboat/cryptoboat/internal/forest"
	"github.com/cryptoboat/cryptoboat/internal/market"
)

// mostResidual bounds a baseline's residuals, in units of its width: no price that
// comes of them is infinite.
const mostResidual = 50

// A model file is the magic, the format version, the length of a JSON header,
// the header, the two forests in their own format, and the SHA-256 of all of that.
const (
	magic         = "CBMODEL\n"
	formatVersion = 3
	prefixLength  = len(magic) + 4 + 4
)

// header is what a model file holds besides the forests.
type header struct {
	Features    []string              `json:"features"`
	HAR         *har                  `json:"har"`
	Rest        rest                  `json:"rest"`
	Direction   direction             `json:"direction"`
	Quantiles   []float64             `json:"quantiles"`
	Levels      stageTable            `json:"levels"`
	Residuals   map[string]stageTable `json:"residuals"` // encoding/json sorts the keys
	PointShares pointShares           `json:"point_shares"`
	ReturnBytes int                   `json:"return_bytes"` // of the first forest's file
}

// encode returns the model's file; equal models give equal bytes.
func (m *model) encode() ([]byte, error) {
	returns, err := m.forest.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode the forest: %w", err)
	}
	directions, err := m.direction.forest.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode the direction's forest: %w", err)
	}
	head, err := json.Marshal(header{
		Features: featureNames, HAR: m.har, Rest: m.rest, Direction: m.direction, Quantiles: quantileLevels,
		Levels: m.levels, Residuals: m.residuals, PointShares: m.shares, ReturnBytes: len(returns),
	})
	if err != nil {
		return nil, fmt.Errorf("encode the model: %w", err)
	}
	file := []byte(magic)
	file = binary.LittleEndian.AppendUint32(file, formatVersion)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(head)))
	file = append(file, head...)
	file = append(file, returns...)
	file = append(file, directions...)
	checksum := sha256.Sum256(file)
	return append(file, checksum[:]...), nil
}

// decodeModel reads a model's file. A damaged one, and one that was trained on
// other features than those computed now, is refused with an Unavailable error:
// it takes a training to mend either.
func decodeModel(file []byte) (*model, error) {
	damaged := func(what string) error {
		return market.Errorf(market.Unavailable, "the model file is damaged (%s): train again", what)
	}
	if len(file) < prefixLength+sha256.Size || string(file[:len(magic)]) != magic {
		return nil, damaged("it does not begin like one")
	}
	body, checksum := file[:len(file)-sha256.Size], file[len(file)-sha256.Size:]
	if actual := sha256.Sum256(body); !bytes.Equal(actual[:], checksum) {
		return nil, damaged("its checksum is wrong")
	}
	if version := binary.LittleEndian.Uint32(body[len(magic):]); version != formatVersion {
		return nil, market.Errorf(market.Unavailable,
			"the model file has format %d, this release reads %d: train again", version, formatVersion)
	}
	length := binary.LittleEndian.Uint32(body[len(magic)+4:])
	rest := body[prefixLength:]
	if uint64(length) > uint64(len(rest)) {
		return nil, damaged("its header is cut off")
	}
	var head header
	if err := json.Unmarshal(rest[:length], &head); err != nil {
		return nil, damaged("its header cannot be read")
	}
	if !slices.Equal(head.Features, featureNames) || !slices.Equal(head.Quantiles, quantileLevels) {
		return nil, market.Errorf(market.Unavailable,
			"the model was trained on other features than this release computes: train again")
	}
	if head.HAR == nil || len(head.HAR.Coefficients) != len(harRegressors)+1 || len(head.HAR.Profile) == 0 ||
		!within(head.HAR.Coefficients, -100, 100) || !within(head.HAR.Profile, 1e-3, 1e3) {
		return nil, damaged("its HAR model makes no sense")
	}
	if len(head.Rest.Coefficients) != len(usualRest.Coefficients) || !within(head.Rest.Coefficients, -100, 100) ||
		!within([]float64{head.Rest.Latest}, 0.01, 1) ||
		!within([]float64{head.Direction.Deviation}, 0.1, 10) {
		return nil, damaged("its view of the inside of candles makes no sense")
	}
	if !head.Levels.valid(0, 1) || !within([]float64{head.PointShares.Open, head.PointShares.Inside}, 0, 1) {
		return nil, damaged("its calibration makes no sense")
	}
	for _, name := range baselineNames {
		if !head.Residuals[name].valid(-mostResidual, mostResidual) {
			return nil, damaged("its baselines make no sense")
		}
	}
	forests := rest[length:]
	if head.ReturnBytes < 0 || head.ReturnBytes > len(forests) {
		return nil, damaged("a forest is cut off")
	}
	m := &model{
		har: head.HAR, rest: head.Rest, direction: head.Direction, levels: head.Levels,
		residuals: head.Residuals, shares: head.PointShares,
	}
	var err error
	if m.forest, err = decodeForest(forests[:head.ReturnBytes]); err != nil {
		return nil, damaged(err.Error())
	}
	if m.direction.forest, err = decodeForest(forests[head.ReturnBytes:]); err != nil {
		return nil, damaged(err.Error())
	}
	return m, nil
}

func decodeForest(file []byte) (*forest.Forest, error) {
	f := new(forest.Forest)
	if err := f.UnmarshalBinary(file); err != nil {
		return nil, err
	}
	if !slices.Equal(f.Names(), featureNames) {
		return nil, errors.New("a forest has other features")
	}
	return f, nil
}

// within reports whether every value lies between the bounds; encoding/json lets
// through neither NaN nor infinity.
func within(values []float64, low, high float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return v < low || v > high })
}
