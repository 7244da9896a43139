// Draws the chart of the market page from the options that the server wrote
// into it, keeps the read-out above it up to date, and moves with the market.

import { label, nextOpen } from './grid.js';
import { addLayers, arrangement, gapSeries, layerSeries } from './layers.js';
import { theme } from './theme.js';

// ECharts copies options whenever they are asked for, so the data are kept here,
// changed here and handed over as a whole.
const mostSlots = 3000;

// drawChart draws into the container and returns what moves the chart. step is
// the length of a candle in milliseconds, 0 for a month; whole says that all is in
// view at first; on holds the layers that are shown, past the earlier forecasts by
// open time; local says that times are the visitor's; zoomOut is called for more than
// the chart holds, tell with what a keyboard's user points at. signal ends it.
export const drawChart = (container, options, { decimals, step, whole, on, past, local, zoomOut, tell, signal }) => {
  // The server leaves out what there is none of; the market may bring it.
  for (const absent of [
    { id: 'forecast', type: 'boxplot', name: 'Forecast', encode: { x: 0, y: [1, 2, 3, 4, 5] }, data: [] },
    { id: 'incomplete', type: 'scatter', name: 'Incomplete', symbol: 'triangle', symbolSize: 7, data: [] },
  ]) {
    if (!options.series.some(({ id }) => id === absent.id)) options.series.push(absent);
  }
  const openTimes = options.xAxis[0].data;
  let points = new Map(); // indicators by open time
  const series = Object.fromEntries(options.series.map((s) => [s.id, s.data]));
  const { candles, volume: volumes } = series;
  const missing = '-'; // in the place of a candle
  addLayers(options);
  const layered = () => layerSeries({ openTimes, candles, on, points, past });
  const arranged = () => {
    container.dataset.panels = ['rsi', 'macd'].filter((name) => on.has(name)).length; // for its height
    return arrangement(container.clientHeight, on);
  };
  const newest = () => candles.findLastIndex((candle) => candle.value !== missing);

  // Words and numbers

  const price = new Intl.NumberFormat('en-GB', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  const quantity = new Intl.NumberFormat('en-GB', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  // As short as the margin beside the chart is narrow.
  const volumeMark = new Intl.NumberFormat('en-GB', { notation: 'compact', maximumSignificantDigits: 3 });
  const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
  const dayOf = (openTime) => `${Number(openTime.slice(8, 10))} ${months[openTime.slice(5, 7) - 1]}`;
  const clockOf = (openTime) => openTime.slice(11).replace('Z', '');
  const minute = 60000;
  const day = 1440 * minute;
  const slotLength = step || 30 * day;

  // The visitor's time, written as an open time is. A day and what is longer is one
  // of UTC, whatever the visitor's clock says.
  const offset = (at) => (local && slotLength < day ? new Date(at).getTimezoneOffset() * minute : 0);
  const inZone = (openTime) => {
    const at = Date.parse(openTime);
    return offset(at) === 0 ? openTime : label(at - offset(at));
  };
  const zone = () => (local && slotLength < day ? 'local' : 'UTC');

  const axisLabel = (utc) => {
    const openTime = inZone(utc);
    if (slotLength > day) return `${dayOf(openTime)} ${openTime.slice(0, 4)}`;
    return clockOf(openTime) === '00:00' ? dayOf(openTime) : clockOf(openTime);
  };

  // Labels stand at round times. How far apart depends on how much is in view.
  const labelSteps = [15, 30, 60, 120, 180, 360, 720].map((n) => n * minute)
    .concat([1, 2, 4, 7, 14, 28].map((n) => n * day));
  let labelStep = 0;
  const slotsAtFirst = (100 - (options.dataZoom[0].start || 0)) / 100 * openTimes.length;
  if (whole) for (const zoom of options.dataZoom) zoom.start = 0;
  const view = { start: options.dataZoom[0].start || 0, end: options.dataZoom[0].end };
  const chooseLabelStep = () => {
    const inView = (view.end - view.start) / 100 * openTimes.length * slotLength;
    const labels = Math.max(2, container.clientWidth / 75);
    const chosen = labelSteps.find((step) => step >= inView / labels) || labelSteps.at(-1);
    const changed = chosen !== labelStep;
    labelStep = chosen;
    return changed;
  };
  const timeLabels = {
    formatter: axisLabel,
    alignMinLabel: 'left', // centred, the first one would be cut off
    // Weeks and months do not stand at round distances from one another.
    interval: slotLength > day ? 'auto' : (index, openTime) => {
      const at = Date.parse(openTime);
      return (at - offset(at)) % labelStep === 0;
    },
  };

  // Read-out

  const fields = Object.fromEntries(
    [...document.querySelectorAll('#readout [data-field]')].map((element) => [element.dataset.field, element]));
  let openSlot = -1; // of the candle that the market still moves
  let pointedAt = -1; // the slot under the pointer
  const show = (values) => {
    for (const [name, element] of Object.entries(fields)) element.textContent = values[name] || (name === 'note' ? '' : '–');
  };
  const readOut = (index) => {
    const shown = inZone(openTimes[index]);
    const values = { time: `${shown.slice(0, 10)} ${clockOf(shown)}\u00a0${zone()}` };
    const candle = candles[index].value;
    if (candle === missing) {
      values.note = 'no candle stored';
    } else {
      const [open, close, low, high] = candle.map((value) => price.format(value));
      Object.assign(values, { open, high, low, close, volume: quantity.format(volumes[index].value) });
    }
    if (index === openSlot) values.note = 'still open';
    else if (series.incomplete.some((mark) => mark.value[0] === index)) values.note = 'incomplete';
    const earlier = on.has('forecasts') && past.get(openTimes[index]);
    if (earlier && !values.note) {
      values.note = `forecast at the open ${price.format(earlier.point)}, 80\u00a0% band ${price.format(earlier.low)} to ${price.format(earlier.high)}`
        + (earlier.close === undefined ? '' : `: closed ${earlier.inside ? 'inside' : 'outside'}`)
        + (earlier.decision ? `, decision: ${earlier.decision}` : '');
    }
    const forecast = series.forecast.find(({ value: [slot] }) => slot === index);
    if (forecast) {
      const [, , low, point, high] = forecast.value;
      values.note = `forecast ${price.format(point)}, box ${price.format(low)} to ${price.format(high)}`;
    }
    show(values);
  };
  const readOutAnew = () => readOut(pointedAt >= 0 ? pointedAt : newest());

  // Chart

  chooseLabelStep();
  Object.assign(options.xAxis[1].axisLabel, timeLabels);
  options.xAxis[1].axisPointer.label.formatter = ({ value }) => `${dayOf(inZone(value))} ${clockOf(inZone(value))}`;
  options.yAxis[0].axisPointer = { label: { formatter: ({ value }) => price.format(value) } };
  options.yAxis[1].axisPointer = { label: { formatter: ({ value }) => quantity.format(value) } };
  options.yAxis[1].axisLabel = { formatter: (value) => volumeMark.format(value) };
  Object.assign(options.dataZoom[1], { height: 32, bottom: 8, labelFormatter: (index, openTime) => dayOf(inZone(openTime)) });

  const { grid, xAxis, yAxis } = arranged();
  options.grid = grid;
  xAxis.forEach((axis, k) => Object.assign(options.xAxis[k], axis));
  yAxis.forEach((axis, k) => Object.assign(options.yAxis[k], axis));
  options.series.push(gapSeries(candles), ...layered());

  const chart = echarts.init(container, theme());
  // Whoever waits for the chart, a test for one, reads it from the page.
  chart.on('finished', () => { container.dataset.state = 'drawn'; });
  chart.on('updateAxisPointer', ({ axesInfo }) => {
    const time = axesInfo.find((axis) => axis.axisDim === 'x');
    pointedAt = time ? time.value : -1;
    readOutAnew();
  });
  const labelAnew = () => {
    if (chooseLabelStep()) chart.setOption({ xAxis: [{}, { axisLabel: timeLabels }] });
  };
  chart.on('datazoom', (event) => {
    const { start, end } = event.batch ? event.batch[0] : event;
    Object.assign(view, { start, end });
    labelAnew();
  });
  chart.setOption(options);
  readOutAnew();

  const zoomTo = (range) => chart.dispatchAction({ type: 'dataZoom', ...range });
  const resize = (factor) => {
    const middle = (view.start + view.end) / 2;
    const half = Math.min(50, Math.max(2, (view.end - view.start) * factor / 2));
    const start = Math.min(Math.max(0, middle - half), 100 - 2 * half);
    return { start, end: start + 2 * half };
  };
  const allInView = () => view.start < 0.01 && view.end > 99.99;
  const zooms = {
    in: () => resize(0.5),
    out: () => {
      if (allInView()) zoomOut();
      return resize(2);
    },
    newest: () => ({ start: Math.max(0, 100 - 100 * slotsAtFirst / openTimes.length), end: 100 }),
    all: () => ({ start: 0, end: 100 }),
  };
  const zoom = document.getElementById('zoom');
  zoom.hidden = false;
  zoom.addEventListener('click', ({ target }) => {
    if (target.dataset.zoom) zoomTo(zooms[target.dataset.zoom]());
  }, { signal });
  // Before the chart's own, which has nothing left to zoom out to.
  container.addEventListener('wheel', (event) => {
    if (event.deltaY <= 0 || !allInView()) return;
    event.preventDefault();
    zoomOut();
  }, { capture: true, passive: false, signal });

  // Keyboard

  const pointAt = (index) => {
    const target = Math.min(openTimes.length - 1, Math.max(0, index));
    const [from, to] = [view.start, view.end].map((percent) => percent / 100 * (openTimes.length - 1));
    if (target < from || target > to) {
      const start = Math.min(100 - (view.end - view.start), Math.max(0, 100 * (target - (to - from) / 2) / (openTimes.length - 1)));
      zoomTo({ start, end: start + view.end - view.start });
    }
    chart.dispatchAction({ type: 'updateAxisPointer', currTrigger: 'mousemove', x: chart.convertToPixel({ xAxisIndex: 0 }, target), y: 40 });
    pointedAt = target;
    readOutAnew();
    tell(document.getElementById('readout').innerText.replace(/\s+/g, ' '));
  };
  const pointed = () => (pointedAt >= 0 ? pointedAt : newest());
  const keys = {
    ArrowLeft: () => pointAt(pointed() - 1),
    ArrowRight: () => pointAt(pointed() + 1),
    PageUp: () => pointAt(pointed() - 24),
    PageDown: () => pointAt(pointed() + 24),
    Home: () => pointAt(0),
    End: () => pointAt(newest()),
    '+': () => zoomTo(zooms.in()),
    '-': () => zoomTo(zooms.out()),
  };
  container.addEventListener('keydown', (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  }, { signal });

  const rearrange = () => {
    const arrangement = arranged();
    chart.resize();
    chart.setOption(arrangement);
  };
  let height = container.clientHeight;
  const resized = new ResizeObserver(() => {
    if (container.clientHeight === height) chart.resize();
    else rearrange();
    height = container.clientHeight;
    labelAnew();
  });
  resized.observe(container);

  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    // A new theme starts the chart anew from its first options.
    chart.setTheme(theme());
    axisMoved = true;
    layersMoved = true;
    rearrange();
    draw();
  }, { signal });

  // Movement

  const openOf = (index) => Date.parse(openTimes[index]);
  let drawing = false;
  let axisMoved = false;
  let layersMoved = false;
  const incompleteLegend = document.getElementById('incomplete-legend');
  const draw = () => {
    readOutAnew();
    // The candle that is still open is not incomplete: more of it is to come.
    const incomplete = series.incomplete.filter(({ value: [slot] }) => slot !== openSlot);
    if (incompleteLegend) incompleteLegend.hidden = incomplete.length === 0;
    const moved = { series: Object.entries({ ...series, incomplete }).map(([id, data]) => ({ id, data })) };
    moved.series.push(gapSeries(candles));
    if (axisMoved || layersMoved) moved.series.push(...layered());
    layersMoved = false;
    if (axisMoved) {
      moved.xAxis = options.xAxis.map(() => ({ data: openTimes }));
      moved.dataZoom = [view, view];
      axisMoved = false;
    }
    chart.setOption(moved);
    labelAnew();
  };
  // A browser gives no frames to a page in the background: it draws once when it
  // comes back.
  const drawSoon = () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      if (signal.aborted) return;
      draw();
    });
  };

  // addSlot opens one slot at the right edge and keeps the slots in view, or goes
  // along where the newest was in view.
  const addSlot = () => {
    const before = openTimes.length;
    openTimes.push(label(nextOpen(openOf(before - 1), step)));
    candles.push({ value: missing });
    volumes.push({ value: missing });
    let dropped = 0;
    if (openTimes.length > Math.max(mostSlots, before)) {
      dropped = 1;
      for (const data of [openTimes, candles, volumes]) data.shift();
      for (const id of ['forecast', 'incomplete']) {
        series[id] = series[id].filter(({ value }) => --value[0] >= 0);
      }
    }
    // The axis runs from the first slot to the last, 0 to 100.
    const slot = (percent) => percent / 100 * (before - 1);
    const percent = (index) => Math.min(100, Math.max(0, 100 * index / (openTimes.length - 1)));
    const shift = view.end > 99.99 ? 1 - dropped : -dropped;
    Object.assign(view, { start: view.start > 0 ? percent(slot(view.start) + shift) : 0, end: percent(slot(view.end) + shift) });
    if (openSlot >= 0) openSlot -= dropped;
    axisMoved = true;
  };

  // slotOf returns the slot of the candle that is open at an instant, opening
  // those up to it, or -1 where it is too far from what the chart shows.
  const slotOf = (at) => {
    if (at < openOf(0) || (at - openOf(openTimes.length - 1)) / slotLength > mostSlots) return -1;
    while (at >= nextOpen(openOf(openTimes.length - 1), step)) addSlot();
    let index = openTimes.length - 1;
    while (openOf(index) > at) index--;
    return index;
  };
  const fill = (index, { open, high, low, close, volume }) => {
    candles[index].value = [open, close, low, high]; // the order of ECharts
    volumes[index].value = volume;
  };

  // From here on nothing changes a candle but a correction.
  let closedUntil = newest() < 0 ? 0 : nextOpen(openOf(newest()), step);
  if (series.incomplete.some((mark) => mark.value[0] === newest())) closedUntil = openOf(newest());

  return {
    // points takes on indicators by open time.
    points(taken) {
      points = taken;
      layersMoved = true;
      drawSoon();
    },

    // layers draws what on holds now.
    layers() {
      layersMoved = true;
      rearrange();
      drawSoon();
    },

    // local shows the visitor's times, or UTC.
    local(chosen) {
      local = chosen;
      labelStep = 0;
      labelAnew();
      chart.setOption({ dataZoom: [view, view] });
      readOutAnew();
    },

    // picture returns what is in view as the address of a PNG.
    picture: () => chart.getDataURL({ type: 'png', pixelRatio: 2, backgroundColor: getComputedStyle(document.documentElement).getPropertyValue('--surface').trim() }),

    firstOpen: () => new Date(openOf(0)).toISOString(),

    dispose() {
      resized.disconnect();
      chart.dispose();
    },

    // price moves the candle that is open: to the state that the update tells of
    // where that is of the chart's own interval, else to what it adds.
    price(update, own) {
      const from = Date.parse(update.open_time);
      const index = slotOf(own ? from : Date.parse(update.event_time));
      if (index < 0 || openOf(index) < closedUntil) return;
      const { value } = candles[index];
      const inside = from >= openOf(index) && Date.parse(update.close_time) <= nextOpen(openOf(index), step);
      if (own || value === missing && inside && from === openOf(index)) {
        fill(index, update);
      } else if (value !== missing) {
        const [open, , low, high] = value;
        const lowest = inside ? update.low : update.price;
        const highest = inside ? update.high : update.price;
        candles[index].value = [open, update.price, Math.min(low, lowest), Math.max(high, highest)];
      }
      if (candles[index].value !== missing) openSlot = index;
      drawSoon();
    },

    // stored takes candles on as they are stored, closed, oldest first.
    stored(stored) {
      for (const candle of stored) {
        const index = slotOf(Date.parse(candle.open_time));
        if (index < 0) continue;
        fill(index, candle);
        series.incomplete = series.incomplete.filter((mark) => mark.value[0] !== index);
        if (candle.complete) {
          closedUntil = Math.max(closedUntil, nextOpen(openOf(index), step));
          if (openSlot === index) openSlot = -1;
        } else {
          series.incomplete.push({ value: [index, candle.low] });
        }
      }
      drawSoon();
    },

    // forecast draws a forecast in the slot of its candle.
    forecast({ open_time: openTime, point, bands }) {
      const index = slotOf(Date.parse(openTime));
      if (index < 0) return;
      const [box, whiskers] = [bands[0], bands.at(-1)];
      series.forecast = [{ value: [index, whiskers.low, box.low, point, box.high, whiskers.high] }];
      drawSoon();
    },

    // knownUntil returns the open time of the candle before the newest closed one,
    // from which on the chart may lack what is stored.
    knownUntil() {
      const index = openTimes.findLastIndex((openTime, k) => Date.parse(openTime) < closedUntil && candles[k].value !== missing);
      return openOf(Math.max(0, index - 1));
    },

    // dayBefore returns the close of the candle 24 hours before the one that is
    // open at an instant, undefined where there is none.
    dayBefore(at) {
      if (slotLength > day) return undefined;
      const index = slotOf(at);
      const before = index < 0 ? -1 : openTimes.lastIndexOf(label(openOf(index) - day));
      return before < 0 || candles[before].value === missing ? undefined : candles[before].value[1];
    },
  };
};
