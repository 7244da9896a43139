// What can be drawn over and under the candles: indicators, earlier forecasts, and
// the places of candles that are not stored.

import { label } from './grid.js';

const none = '-'; // what ECharts takes for no value
const axisOf = { gaps: 2, rsi: 3, macd: 4 };
const panels = { rsi: 2, macd: 3 }; // their grids

// Of the switches, which lines each of them draws.
const lines = {
  sma: [['sma', 'sma', 'solid']],
  ema: [['ema', 'ema', 'dashed']],
  bollinger: [['bollinger_lower', 'bollinger', 'solid'], ['bollinger_middle', 'bollinger', 'dotted'], ['bollinger_upper', 'bollinger', 'solid']],
  rsi: [['rsi', 'sma', 'solid']],
  macd: [['macd', 'sma', 'solid'], ['macd_signal', 'ema', 'dashed']],
};
export const indicators = Object.keys(lines);

const colour = (role) => getComputedStyle(document.documentElement).getPropertyValue('--' + role).trim();

// addLayers gives a chart's options the axes that layers need. openTimes is shared
// by all of them.
export const addLayers = (options) => {
  const { data: openTimes } = options.xAxis[0];
  for (const gridIndex of Object.values(panels)) {
    options.xAxis.push({ type: 'category', gridIndex, data: openTimes, axisLabel: { show: false }, axisTick: { show: false }, axisPointer: { label: { show: false } } });
  }
  const short = { label: { formatter: ({ value }) => value.toFixed(1) } };
  options.yAxis.push(
    { type: 'value', gridIndex: 0, min: 0, max: 1, show: false, axisPointer: { show: false } },
    { type: 'value', gridIndex: panels.rsi, position: 'right', min: 0, max: 100, interval: 50, name: 'RSI', nameLocation: 'start', nameGap: 4, axisPointer: short },
    { type: 'value', gridIndex: panels.macd, position: 'right', scale: true, splitNumber: 2, axisPointer: short },
  );
  delete options.yAxis[3].name;
  const all = [0, 1, ...Object.values(panels)];
  options.axisPointer.link = [{ xAxisIndex: all }];
  for (const zoom of options.dataZoom) zoom.xAxisIndex = all;
};

// arrangement returns the grids, and which axes are shown, where a chart is that high.
// Prices have what the others leave.
export const arrangement = (height, on) => {
  const [gap, panel, volume, below] = [18, 80, 76, 76];
  const sides = { left: 12, right: 72, bottom: 'auto' };
  const grid = [];
  let top = height - below - volume;
  grid[1] = { ...sides, top, height: volume };
  for (const [name, index] of Object.entries(panels).reverse()) {
    if (on.has(name)) top -= gap + panel;
    grid[index] = { ...sides, top, height: on.has(name) ? panel : 0 };
  }
  grid[0] = { ...sides, top: 12, height: Math.max(80, top - gap - 12) };
  const shown = (name) => ({ show: on.has(name) });
  return {
    grid,
    xAxis: [{}, {}, shown('rsi'), shown('macd')],
    yAxis: [{}, {}, {}, shown('rsi'), shown('macd')],
  };
};

const line = (id, values, role, type, on) => ({
  id, type: 'line', name: id, data: values, symbol: 'none', silent: true, z: 3, connectNulls: false,
  xAxisIndex: panels[on] || 0, yAxisIndex: axisOf[on] || 0,
  lineStyle: { width: 1.4, type, color: colour(role) }, itemStyle: { color: colour(role) },
});

// layerSeries returns the series of every layer, empty where it is off. points are
// the indicators and past the earlier forecasts, both by open time.
export const layerSeries = ({ openTimes, candles, on, points, past }) => {
  const column = (of, by, visible) => openTimes.map((t) => (visible ? of(by.get(t)) ?? none : none));
  const series = [];
  for (const [name, parts] of Object.entries(lines)) {
    for (const [field, role, type] of parts) {
      series.push(line(field, column((p) => p?.[field], points, on.has(name)), role, type, name));
    }
  }
  series.push({
    id: 'macd_histogram', type: 'bar', name: 'macd_histogram', xAxisIndex: panels.macd, yAxisIndex: axisOf.macd, silent: true, z: 1,
    data: column((p) => p?.macd_histogram, points, on.has('macd')), itemStyle: { color: colour('volume') },
  });
  // A band is drawn as what lies between two lines, one upon the other.
  const shown = on.has('forecasts');
  const band = { type: 'line', stack: 'past', step: 'middle', symbol: 'none', silent: true, z: 1, xAxisIndex: 0, yAxisIndex: 0, lineStyle: { opacity: 0 } };
  series.push(
    { ...band, id: 'past_low', data: column((f) => f?.low, past, shown) },
    { ...band, id: 'past_band', data: column((f) => f && f.high - f.low, past, shown), areaStyle: { color: colour('forecast'), opacity: 0.16 } },
  );
  const points80 = [];
  const decisions = [];
  if (shown) {
    openTimes.forEach((t, index) => {
      const f = past.get(t);
      if (!f) return;
      points80.push({ value: [index, f.point] });
      if (!f.decision || candles[index].value === none) return;
      const buy = f.decision === 'buy';
      const [, , low, high] = candles[index].value;
      decisions.push({
        value: [index, buy ? low : high], symbolOffset: [0, buy ? 18 : -18],
        itemStyle: { color: colour(buy ? 'up' : 'down') }, label: { formatter: buy ? 'B' : 'S' },
      });
    });
  }
  series.push(
    { id: 'past_point', type: 'scatter', symbol: 'rect', symbolSize: [7, 2], symbolOffset: [0, 0], silent: true, z: 4, data: points80, itemStyle: { color: colour('forecast') } },
    {
      id: 'decisions', type: 'scatter', symbol: 'circle', symbolSize: 15, silent: true, z: 5, data: decisions,
      label: { show: true, color: colour('surface'), fontSize: 10, fontWeight: 'bold' },
    },
  );
  return series;
};

// gapSeries shades the places between candles where none is stored.
export const gapSeries = (candles) => {
  const stored = ({ value }) => value !== none;
  const [first, last] = [candles.findIndex(stored), candles.findLastIndex(stored)];
  return {
    id: 'gaps', type: 'bar', name: 'gaps', xAxisIndex: 0, yAxisIndex: axisOf.gaps, barWidth: '100%', silent: true, z: 0,
    data: candles.map((candle, index) => (index > first && index < last && !stored(candle) ? 1 : none)), itemStyle: { color: colour('gap') },
  };
};

// byOpenTime makes a map of what came with open times, by the names that they have on
// the chart's axis.
export const byOpenTime = (elements) =>
  new Map(elements.map((element) => [label(Date.parse(element.open_time)), element]));
