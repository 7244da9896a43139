// Keeps the forecast in the page's tables and legend up to date, and says how
// old it is.

import { instant, numbers, share, signed, span } from './words.js';

const element = (name, text, scope) => {
  const made = document.createElement(name);
  made.textContent = text;
  if (scope) made.scope = scope;
  return made;
};

// forecastSection returns what moves the section of the forecast, whether or not
// the page was made with one. staleAfter returns milliseconds.
export const forecastSection = (section, decimals, staleAfter) => {
  const price = numbers(decimals);
  const change = signed(1);
  const gain = signed(3);
  const part = (name) => section.querySelector(`[data-forecast=${name}]`);
  const [head, body] = [section.querySelector('thead tr'), section.querySelector('tbody')];
  const legend = document.getElementById('forecast-legend');
  let asOf = Date.parse(section.dataset.asOf);
  let closes = Date.parse(section.dataset.closes);
  let streamed = false;
  let shape = ''; // of the table: which bands, and which predictions

  // layOut makes the table anew, since another model may have other bands and
  // baselines than the one before.
  const layOut = (levels, names) => {
    const bands = levels.map((level) => element('th', `${level} band`, 'col'));
    head.replaceChildren(...[...head.cells].slice(0, 3), ...bands, [...head.cells].at(-1));
    body.replaceChildren(...names.map((name) => {
      const row = document.createElement('tr');
      row.append(element('th', name, 'row'), ...Array.from({ length: 3 + levels.length }, () => element('td', '')));
      return row;
    }));
    legend.querySelector('[data-forecast=bands]').textContent =
      `the line is its point, the box holds ${levels[0]}, the whiskers ${levels.at(-1)}`;
  };

  const fill = (row, { point, bands, probability_up: up }, last) => {
    const values = [price(point), change(1e4 * (point / last - 1)),
      ...bands.map(({ low, high }) => `${price(low)} to ${price(high)}`), share(up, 1)];
    values.forEach((value, k) => { row.cells[k + 1].textContent = value; });
  };

  return {
    show(forecast) {
      const levels = forecast.bands.map(({ level }) => share(level, 0));
      const predictions = [{ ...forecast, name: 'Forest' }, ...forecast.baselines];
      const names = predictions.map(({ name }) => name);
      const wanted = JSON.stringify([levels, names]);
      if (wanted !== shape) layOut(levels, names);
      shape = wanted;
      predictions.forEach((prediction, k) => fill(body.rows[k], prediction, forecast.last));

      part('above-open').textContent = share(forecast.probability_above_open, 1);
      part('analytic').textContent = share(forecast.probability_analytic, 1);
      part('decision').textContent = forecast.decision.action;
      part('gain').textContent = `${gain(100 * forecast.decision.expected_gain)}\u00a0%`;
      const { fee, spread } = forecast.decision.costs;
      part('costs').textContent = `a fee of ${share(fee, 3)} for each of two trades and a spread of ${share(spread, 3)}`;
      [asOf, closes] = [forecast.as_of, forecast.close_time].map((time) => Date.parse(time));
      streamed = true;
      section.querySelector('caption span').textContent =
        `Where the open candle closes, at ${instant(closes)}, with what was known at ${instant(asOf)}` +
        (forecast.companion_missing ? ', without the other pair’s newest candle, which makes the bands a little worse' : '');
      part('newer-model').hidden = String(forecast.model.id) === section.dataset.model;
      part('newer-model').textContent =
        `${section.dataset.model ? 'A newer' : 'A'} model makes the forecast by now; load the page again for its measures.`;
      part('none')?.remove();
      part('made').hidden = false;
      legend.hidden = false;
    },

    // tick says how old the forecast is, where newer ones should have come: while
    // its candle is open if own, which says that the stream forecasts candles of
    // the page's interval, else when that candle has closed. marketTime is now by
    // the exchange's clock, undefined where it is not known.
    tick(marketTime, own) {
      if (marketTime === undefined || Number.isNaN(asOf)) return;
      const age = marketTime - asOf;
      const stale = own || streamed ? age > staleAfter() : marketTime > closes;
      part('stale').hidden = !stale;
      const old = stale ? `${span(age)} old` : '';
      part('age').textContent = old;
      legend.querySelector('[data-forecast=age]').textContent = old && ` (${old})`;
    },
  };
};
