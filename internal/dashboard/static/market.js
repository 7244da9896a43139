// The market page: its chart, and what moves on it while the service follows the
// market.

import { openFigure } from './figure.js';
import { forecastSection } from './forecast.js';
import { closeAfter } from './grid.js';
import { follow, retryAfter } from './stream.js';
import { countdown, numbers, signed, span } from './words.js';

const heading = document.getElementById('heading');
const { symbol, interval } = heading.dataset;
const decimals = Number(heading.dataset.decimals);
const step = Number(heading.dataset.step);

// Its chart shows candles of another interval where the range asks for them.
const figure = openFigure(symbol, decimals, () => { if (heading.dataset.stream) catchUp(); });

const price = numbers(decimals);
const percent = signed(2);
const part = (name) => heading.querySelector(`[data-live=${name}]`);

const showPrice = (update) => {
  part('close').textContent = price(update.price);
  const dayBefore = figure.chart?.dayBefore(Date.parse(update.event_time));
  const change = part('change');
  // Without the price of then, what the server wrote is not true any more.
  change.parentElement.hidden = !dayBefore;
  if (!dayBefore) return;
  const ratio = update.price / dayBefore - 1;
  change.className = ratio >= 0 ? 'rising' : 'falling';
  change.textContent = `${percent(100 * ratio)}\u00a0%`;
};

// catchUp asks for the candles that have closed since the newest in the chart,
// until it has them all. What is asked of it while it does so, it does after.
const mostCandles = 3000; // in one answer
let catchingUp = false;
let behind = false;
let retry = 0;
const catchUp = async () => {
  clearTimeout(retry);
  behind = true;
  if (!figure.chart || catchingUp) return;
  catchingUp = true;
  try {
    while (behind) {
      behind = false;
      const { chart } = figure;
      const known = chart.knownUntil();
      const query = new URLSearchParams({ interval: figure.interval, start: new Date(known).toISOString(), limit: mostCandles });
      const answer = await fetch(`/v1/symbols/${symbol}/candles?${query}`);
      if (answer.status >= 500) throw new Error(answer.statusText);
      if (!answer.ok) break; // asking again would not help
      const { candles } = await answer.json();
      if (chart !== figure.chart) { // another range was loaded meanwhile
        behind = true;
        continue;
      }
      figure.stored(candles);
      if (chart.knownUntil() > known) part('stored-stale')?.remove();
      if (candles.length === mostCandles && chart.knownUntil() > known) behind = true;
    }
  } catch {
    retry = setTimeout(catchUp, retryAfter);
  } finally {
    catchingUp = false;
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
  const { dataset } = heading;
  const forecasts = forecastSection(document.getElementById('forecast-section'), decimals, () => Number(dataset.forecastStaleAfter));
  let own = false; // whether the stream is of the page's interval
  follow(dataset.stream, () => Number(dataset.staleAfter), {
    tick: (now) => {
      tick(now);
      forecasts.tick(now.marketTime, own);
    },
    price: (update) => {
      own = update.interval === interval;
      figure.chart?.price(update, update.interval === figure.interval);
      showPrice(update);
    },
    candle: (closed) => {
      part('stored-stale')?.remove();
      if (closed.interval !== figure.interval) catchUp();
      else if (figure.chart) figure.stored([closed]);
    },
    forecast: (forecast) => {
      if (forecast.interval !== interval) return;
      if (figure.interval === interval) figure.chart?.forecast(forecast);
      forecasts.show(forecast);
    },
    connected: catchUp,
    missed: catchUp,
  });
}
