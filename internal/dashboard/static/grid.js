// The grid of open times. Times are in milliseconds since 1970, UTC; a step of 0
// is a month, whose length varies.

export const nextOpen = (open, step) => {
  if (step > 0) return open + step;
  const date = new Date(open);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
};

// closeAfter returns when the candle that is open at an instant closes; open is
// the open time of any candle.
export const closeAfter = (at, open, step) =>
  nextOpen(step > 0 ? open + Math.floor((at - open) / step) * step : at, step);

// label writes an open time as the chart's options do.
export const label = (open) => new Date(open).toISOString().replace('.000Z', 'Z').replace(/:00Z$/, 'Z');
