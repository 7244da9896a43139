// Package charts turns domain values into go-echarts options. Its functions
// are pure: colours, number formats and gestures belong to the page that draws
// the options.
package charts
