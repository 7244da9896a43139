// Keeps the table of the forecast up to date.

import { instant, numbers, share, signed } from './words.js';

export const forecastTable = (section, decimals) => {
  const price = numbers(decimals);
  const change = signed(1);
  const caption = section.querySelector('caption span');
  const newerModel = section.querySelector('[data-forecast=newer-model]');
  const aboveOpen = section.querySelector('[data-forecast=above-open]');
  const rows = [...section.querySelectorAll('tbody tr')];

  const fill = (row, prediction, last) => {
    let values = []; // of a baseline that the forecast lacks
    if (prediction) {
      const { point, bands, probability_up: up } = prediction;
      values = [price(point), change(1e4 * (point / last - 1)),
        ...bands.map(({ low, high }) => `${price(low)} to ${price(high)}`), share(up, 1)];
    }
    [...row.cells].slice(1).forEach((cell, k) => { cell.textContent = values[k] || '–'; });
  };

  return (forecast) => {
    if (rows.length === 0) return; // there was none when the page was made
    const [own, ...others] = rows;
    fill(own, forecast, forecast.last);
    for (const row of others) {
      fill(row, forecast.baselines.find(({ name }) => name === row.cells[0].textContent), forecast.last);
    }
    aboveOpen.textContent = share(forecast.probability_above_open, 1);
    const [closes, asOf] = [forecast.close_time, forecast.as_of].map((time) => instant(Date.parse(time)));
    caption.textContent = `Where the open candle closes, at ${closes}, with what was known at ${asOf}` +
      (forecast.companion_missing ? ', without the other pair’s newest candle, which makes the bands a little worse' : '');
    newerModel.hidden = String(forecast.model.id) === section.dataset.model;
    newerModel.textContent = 'A newer model makes the forecast by now; load the page again for its measures.';
  };
};
