// The market page: its chart, and what moves on it while the service follows the
// market.

import { drawChart } from './chart.js';
import { forecastTable } from './forecast.js';
import { closeAfter } from './grid.js';
import { follow } from './stream.js';
import { countdown, numbers, signed, span } from './words.js';

const heading = document.getElementById('heading');
const { symbol, interval } = heading.dataset;
const decimals = Number(heading.dataset.decimals);
const step = Number(heading.dataset.step);

const container = document.getElementById('chart');
let chart = null;
if (container && window.echarts) {
  chart = drawChart(container, JSON.parse(document.getElementById('chart-options').textContent), { decimals, step });
} else if (container) {
  container.className = 'notice'; // and no longer as high as a chart
  container.textContent = 'The chart library could not be loaded. The tables below hold the newest values and a summary.';
}

const price = numbers(decimals);
const percent = signed(2);
const part = (name) => heading.querySelector(`[data-live=${name}]`);

const showPrice = (update) => {
  part('close').textContent = price(update.price);
  const dayBefore = chart && chart.dayBefore(Date.parse(update.event_time));
  const change = part('change');
  // Without the price of then, what the server wrote is not true any more.
  change.parentElement.hidden = !dayBefore;
  if (!dayBefore) return;
  const ratio = update.price / dayBefore - 1;
  change.className = ratio >= 0 ? 'rising' : 'falling';
  change.textContent = `${percent(100 * ratio)}\u00a0%`;
};

// catchUp asks for the candles that have closed since the newest in the chart.
const catchUp = async () => {
  if (!chart) return;
  const query = new URLSearchParams({ interval, start: new Date(chart.knownUntil()).toISOString(), limit: 3000 });
  try {
    const answer = await fetch(`/v1/symbols/${symbol}/candles?${query}`);
    if (answer.ok) chart.stored((await answer.json()).candles);
  } catch {
    // The connection is gone again; the next one asks anew.
  }
};

const names = { live: 'Live', stale: 'Stale', reconnecting: 'Reconnecting' };
let stateShown = '';

const tick = ({ state, age, marketTime }) => {
  if (state !== stateShown) {
    stateShown = state;
    part('state').dataset.state = state;
    part('state-name').textContent = names[state]; // which screen readers read out
  }
  let words = '';
  if (state === 'stale' && age === undefined) words = ': no price yet';
  else if (state !== 'live' && age !== undefined) words = `: last price ${span(age)} ago`;
  part('age').textContent = words;
  const left = marketTime === undefined ? -1 : closeAfter(marketTime, Number(heading.dataset.open), step) - marketTime;
  part('countdown').hidden = left < 0;
  part('left').textContent = countdown(left);
};

if (heading.dataset.stream) {
  const showForecast = forecastTable(document.getElementById('forecast-section'), decimals);
  follow(heading.dataset.stream, () => Number(heading.dataset.staleAfter), {
    tick,
    price: (update) => {
      if (chart) chart.price(update, update.interval === interval);
      showPrice(update);
    },
    candle: (closed) => {
      part('stored-stale')?.remove();
      if (closed.interval !== interval) catchUp();
      else if (chart) chart.stored([closed]);
    },
    forecast: (forecast) => {
      if (forecast.interval !== interval) return;
      if (chart) chart.forecast(forecast);
      showForecast(forecast);
    },
    connected: catchUp,
    missed: catchUp,
  });
}
