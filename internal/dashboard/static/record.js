// The record page: draws each chart from the options that the server wrote beside
// it. The tables hold the same numbers.

import { theme } from './theme.js';

// Bars are of the charts' palette here, not all the same as those of a volume, and
// a band has one colour for its coverage and its width.
const look = () => {
  const base = theme();
  const [own, rate, narrow, wide] = base.color;
  return { ...base, bar: {}, color: [own, rate, narrow, wide, narrow, wide] };
};

const draw = (container) => {
  if (!window.echarts) {
    container.className = 'notice'; // and no longer as high as a chart
    container.textContent = 'The chart library could not be loaded. The table holds its numbers.';
    return;
  }
  const options = JSON.parse(document.getElementById(`${container.dataset.chart}-options`).textContent);
  const chart = echarts.init(container, look());
  // Whoever waits for the chart, a test for one, reads it from the page.
  chart.on('finished', () => { container.dataset.state = 'drawn'; });
  // A box of HTML would need the inline styles that the page's policy forbids.
  options.tooltip.renderMode = 'richText';
  options.tooltip.valueFormatter = (value) => (typeof value === 'number' ? value.toFixed(2) : '–');
  chart.setOption(options);
  new ResizeObserver(() => chart.resize()).observe(container);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => chart.setTheme(look()));
};

document.querySelectorAll('[data-chart]').forEach(draw);
