// Draws the chart of the market page from the options that the server wrote
// into it, and keeps the read-out above it up to date.
'use strict';

(() => {
  const container = document.getElementById('chart');
  if (!window.echarts) {
    container.className = 'notice'; // and no longer as high as a chart
    container.textContent = 'The chart library could not be loaded. The tables below hold the newest values and a summary.';
    return;
  }
  const options = JSON.parse(document.getElementById('chart-options').textContent);
  // ECharts copies options whenever they are asked for, so keep what is read
  // on every move of the pointer.
  const openTimes = options.xAxis[0].data;
  const series = Object.fromEntries(options.series.map((s) => [s.id, s.data]));
  const forecast = series.forecast && series.forecast[0].value;
  const incomplete = new Set((series.incomplete || []).map((mark) => mark.value[0]));
  const newest = series.candles.findLastIndex((candle) => candle.value !== '-');

  // Theme: the colours come from the style sheet, which knows dark from light.

  const theme = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (role) => style.getPropertyValue('--' + role).trim();
    const axis = {
      axisLine: { lineStyle: { color: colour('line') } },
      axisTick: { lineStyle: { color: colour('line') } },
      axisLabel: { color: colour('muted') },
    };
    return {
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
      // Left to itself, ECharts moves the edges of a grid to make room for its
      // labels, and one crosshair would stand at two places.
      grid: { outerBoundsMode: 'none' },
      categoryAxis: { ...axis, splitLine: { show: false } },
      valueAxis: { ...axis, splitLine: { lineStyle: { color: colour('line') } } },
      axisPointer: {
        lineStyle: { color: colour('muted'), type: 'dashed' },
        label: { color: colour('surface'), backgroundColor: colour('muted') },
      },
      candlestick: {
        itemStyle: {
          // A rising candle is hollow.
          color: colour('surface'), borderColor: colour('up'),
          color0: colour('down'), borderColor0: colour('down'),
          borderColorDoji: colour('up'),
        },
      },
      boxplot: {
        // In view of a whole month the forecast's slot is narrower than a
        // pixel: the box may be wider than its slot and reach over the edge.
        boxWidth: [9, 32], clip: false, z: 3,
        itemStyle: { color: colour('forecast-fill'), borderColor: colour('forecast'), borderWidth: 1.5 },
      },
      bar: { itemStyle: { color: colour('volume') } },
      // Below the low that it marks, not on it.
      scatter: { z: 4, symbolOffset: [0, 7], itemStyle: { color: colour('ink') } },
      dataZoom: {
        borderColor: colour('line'),
        fillerColor: colour('selection'),
        textStyle: { color: colour('muted') },
        dataBackground: {
          lineStyle: { color: colour('volume') }, areaStyle: { color: colour('volume'), opacity: 0.3 },
        },
        selectedDataBackground: {
          lineStyle: { color: colour('up') }, areaStyle: { color: colour('up'), opacity: 0.2 },
        },
        handleStyle: { color: colour('surface'), borderColor: colour('muted') },
        moveHandleStyle: { color: colour('muted') },
        brushSelect: false,
      },
    };
  };

  // Words and numbers

  const decimals = Number(container.dataset.decimals);
  const price = new Intl.NumberFormat('en-GB', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  const quantity = new Intl.NumberFormat('en-GB', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  // As short as the margin beside the chart is narrow.
  const volumeMark = new Intl.NumberFormat('en-GB', { notation: 'compact', maximumSignificantDigits: 3 });
  const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
  const dayOf = (openTime) => `${Number(openTime.slice(8, 10))} ${months[openTime.slice(5, 7) - 1]}`;
  const clockOf = (openTime) => openTime.slice(11).replace('Z', '');
  const slotLength = Date.parse(openTimes[1]) - Date.parse(openTimes[0]);
  const minute = 60000;
  const day = 1440 * minute;

  const axisLabel = (openTime) => {
    if (slotLength > day) return `${dayOf(openTime)} ${openTime.slice(0, 4)}`;
    return clockOf(openTime) === '00:00' ? dayOf(openTime) : clockOf(openTime);
  };

  // Labels stand at round times. How far apart depends on how much is in view.
  const labelSteps = [15, 30, 60, 120, 180, 360, 720].map((n) => n * minute)
    .concat([1, 2, 4, 7, 14, 28].map((n) => n * day));
  let labelStep = 0;
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
    interval: slotLength > day ? 'auto' : (index, openTime) => Date.parse(openTime) % labelStep === 0,
  };

  // Read-out

  const fields = Object.fromEntries(
    [...document.querySelectorAll('#readout [data-field]')].map((element) => [element.dataset.field, element]));
  const show = (values) => {
    for (const [name, element] of Object.entries(fields)) element.textContent = values[name] || (name === 'note' ? '' : '–');
  };
  const readOut = (index) => {
    const values = { time: `${openTimes[index].slice(0, 10)} ${clockOf(openTimes[index])}\u00a0UTC` };
    const candle = series.candles[index].value;
    if (candle === '-') {
      values.note = 'no candle stored';
    } else {
      const [open, close, low, high] = candle.map((value) => price.format(value));
      Object.assign(values, { open, high, low, close, volume: quantity.format(series.volume[index].value) });
    }
    if (incomplete.has(index)) values.note = 'incomplete';
    if (forecast && forecast[0] === index) {
      const [, , low, point, high] = forecast;
      values.note = `forecast ${price.format(point)}, box ${price.format(low)} to ${price.format(high)}`;
    }
    show(values);
  };

  // Chart

  chooseLabelStep();
  Object.assign(options.xAxis[1].axisLabel, timeLabels);
  options.xAxis[1].axisPointer.label.formatter = ({ value }) => `${dayOf(value)} ${clockOf(value)}`;
  options.yAxis[0].axisPointer = { label: { formatter: ({ value }) => price.format(value) } };
  options.yAxis[1].axisPointer = { label: { formatter: ({ value }) => quantity.format(value) } };
  options.yAxis[1].axisLabel = { formatter: (value) => volumeMark.format(value) };
  Object.assign(options.dataZoom[1], { height: 32, bottom: 8, labelFormatter: (index, openTime) => dayOf(openTime) });

  const chart = echarts.init(container, theme());
  // Whoever waits for the chart, a test for one, reads it from the page.
  chart.on('finished', () => { container.dataset.state = 'drawn'; });
  chart.on('updateAxisPointer', ({ axesInfo }) => {
    const time = axesInfo.find((axis) => axis.axisDim === 'x');
    readOut(time ? time.value : newest);
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
  readOut(newest);

  const zoomTo = (range) => chart.dispatchAction({ type: 'dataZoom', ...range });
  const zooms = {
    newest: { start: view.start, end: view.end },
    all: { start: 0, end: 100 },
  };
  const zoom = document.getElementById('zoom');
  zoom.hidden = false;
  zoom.addEventListener('click', ({ target }) => {
    if (target.dataset.zoom) zoomTo(zooms[target.dataset.zoom]);
  });

  new ResizeObserver(() => {
    chart.resize();
    labelAnew();
  }).observe(container);

  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    const before = { ...view };
    // A new theme starts the chart anew from its first options.
    chart.setTheme(theme());
    zoomTo(before);
  });
})();
