package forest

import "fmt"

const (
	maxTrees = 10_000
	maxDepth = 64
)

// Settings of a training. The zero value is not valid; begin with
// DefaultSettings.
type Settings struct {
	// Trees is the number of trees, 1 to 10,000.
	Trees int
	// MaxDepth is the largest number of splits between root and leaf, 1 to 64.
	MaxDepth int
	// MinLeafRows is the smallest number of a tree's own rows that a split may
	// leave on either side, at least 1.
	MinLeafRows int
	// RowShare is the share of all rows, over 0 and up to 1, that each tree
	// draws, without replacement, for itself.
	RowShare float64
	// ColumnShare is the share of the columns, over 0 and up to 1, that is
	// tried at each split, at least one column. Where none of them can split,
	// others are tried.
	ColumnShare float64
	// Seed decides which rows and columns are drawn.
	Seed uint64
}

// DefaultSettings suits some 100,000 rows with a weak signal: a hundred trees
// with large leaves, each grown on half of the rows, with a third of the
// columns tried at each split.
func DefaultSettings() Settings {
	return Settings{
		Trees:       100,
		MaxDepth:    12,
		MinLeafRows: 200,
		RowShare:    0.5,
		ColumnShare: 1.0 / 3,
		Seed:        1,
	}
}

// Validate tells the first setting that is out of its bounds.
func (s Settings) Validate() error {
	switch {
	case s.Trees < 1 || s.Trees > maxTrees:
		return fmt.Errorf("forest settings: Trees is %d, want 1 to %d", s.Trees, maxTrees)
	case s.MaxDepth < 1 || s.MaxDepth > maxDepth:
		return fmt.Errorf("forest settings: MaxDepth is %d, want 1 to %d", s.MaxDepth, maxDepth)
	case s.MinLeafRows < 1:
		return fmt.Errorf("forest settings: MinLeafRows is %d, want at least 1", s.MinLeafRows)
	case !(s.RowShare > 0 && s.RowShare <= 1):
		return fmt.Errorf("forest settings: RowShare is %v, want over 0 and up to 1", s.RowShare)
	case !(s.ColumnShare > 0 && s.ColumnShare <= 1):
		return fmt.Errorf("forest settings: ColumnShare is %v, want over 0 and up to 1", s.ColumnShare)
	}
	return nil
}
