package binance

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

func BenchmarkDecodeRows(b *testing.B) {
	const count = 10_000
	var text bytes.Buffer
	for k := range count {
		fmt.Fprintf(&text, "%d,16754.53,16763.78,16631.95,16661.%02d,6568.20534,%d,109688594.0072235,134761,2981.73424,49800761.248507,0\n",
			1672757100000+int64(k)*900_000, k%100, 1672757100000+int64(k+1)*900_000-1)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		reader := newArchiveReader(bytes.NewReader(text.Bytes()), archiveName{series: btc15m})
		for {
			if _, err := reader.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(count*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
