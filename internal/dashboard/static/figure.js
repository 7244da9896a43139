// The figure with the chart: its switches, whose state is in the address, its files,
// and the ranges, which are loaded in its place.

import { drawChart } from './chart.js';
import { byOpenTime, indicators } from './layers.js';

const mostPoints = 3000; // in one answer

const layersOf = (query) => new Set((query.get('layers') ?? 'forecasts').split(',').filter(Boolean));

// openFigure draws the chart of the page. Its chart is null where it cannot be
// drawn. replaced is called when another range has taken its place.
export const openFigure = (symbol, decimals, replaced) => {
  const opened = { chart: null, interval: '' };
  let end = new AbortController(); // of what listens to the figure that is shown
  let loading = null;

  const start = () => {
    end.abort();
    end = new AbortController();
    const { signal } = end;
    const figure = document.getElementById('market-chart');
    const container = document.getElementById('chart');
    if (!container) return;
    if (!window.echarts) {
      container.className = 'notice'; // and no longer as high as a chart
      container.textContent = 'The chart library could not be loaded. The tables below hold the newest values and a summary.';
      return;
    }
    const { interval, step, whole } = figure.dataset;
    const json = (id) => JSON.parse(document.getElementById(id).textContent);
    const tell = (words) => { document.getElementById('chart-status').textContent = words; };
    const query = new URLSearchParams(location.search);
    const on = layersOf(query);

    const zoomOut = () => {
      if (figure.dataset.zoomOut) load(figure.dataset.zoomOut);
    };
    const chart = drawChart(container, json('chart-options'), {
      decimals, step: Number(step), whole: whole === 'true', on, past: byOpenTime(json('chart-past')), local: query.get('time') === 'local', zoomOut, tell, signal,
    });
    Object.assign(opened, { chart, interval });

    // Indicators come from the service, which knows what lies before the chart.
    let waiting = 0;
    const readIndicators = async () => {
      clearTimeout(waiting);
      if (!indicators.some((name) => on.has(name))) return;
      try {
        const parameters = new URLSearchParams({ interval, start: chart.firstOpen(), limit: mostPoints });
        const answer = await fetch(`/v1/symbols/${symbol}/indicators?${parameters}`, { signal });
        if (!answer.ok) throw new Error(answer.statusText);
        chart.points(byOpenTime((await answer.json()).indicators));
        tell('');
      } catch {
        if (!signal.aborted) tell('The indicators could not be read. Switch them off and on to try again.');
      }
    };
    // Several candles that close at once are one reason to ask.
    opened.stored = (candles) => {
      chart.stored(candles);
      clearTimeout(waiting);
      waiting = setTimeout(readIndicators, 1000);
    };
    signal.addEventListener('abort', () => {
      clearTimeout(waiting);
      chart.dispose();
    });

    const remember = (name, value, usual) => {
      for (const link of figure.querySelectorAll('[data-range]')) {
        const address = new URL(link.href);
        if (value === usual) address.searchParams.delete(name);
        else address.searchParams.set(name, value);
        link.href = address;
        if (figure.dataset.zoomOut && address.searchParams.get('range') === new URL(figure.dataset.zoomOut, location.href).searchParams.get('range')) {
          figure.dataset.zoomOut = address.pathname + address.search;
        }
      }
      const address = new URL(location.href);
      if (value === usual) address.searchParams.delete(name);
      else address.searchParams.set(name, value);
      history.replaceState(null, '', address);
    };
    for (const box of figure.querySelectorAll('[data-layer]')) {
      box.checked = on.has(box.dataset.layer);
      box.addEventListener('change', () => {
        if (box.checked) on.add(box.dataset.layer);
        else on.delete(box.dataset.layer);
        remember('layers', [...on].join(','), 'forecasts');
        chart.layers();
        readIndicators();
      }, { signal });
    }
    const local = figure.querySelector('[data-local]');
    local.checked = query.get('time') === 'local';
    local.addEventListener('change', () => {
      remember('time', local.checked ? 'local' : 'utc', 'utc');
      chart.local(local.checked);
    }, { signal });
    figure.querySelector('[data-export=png]').addEventListener('click', () => {
      const picture = document.createElement('a');
      picture.href = chart.picture();
      picture.download = `${symbol}-${interval}.png`;
      picture.click();
    }, { signal });
    document.getElementById('chart-controls').hidden = false;
    figure.addEventListener('click', (event) => {
      const link = event.target.closest('[data-range]');
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      load(link.href);
    }, { signal });
    readIndicators();
  };

  // load puts another range in the place of the chart, and leaves the rest of the
  // page, which goes on following the market.
  const load = async (address, push = true) => {
    loading?.abort();
    loading = new AbortController();
    const { signal } = loading;
    const figure = document.getElementById('market-chart');
    figure.setAttribute('aria-busy', 'true');
    try {
      const answer = await fetch(address, { signal });
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (signal.aborted) return;
      const focused = figure.contains(document.activeElement) && document.activeElement.id;
      const onRange = figure.contains(document.activeElement) && document.activeElement.closest('[data-range]');
      end.abort();
      for (const id of ['market-chart', 'candles-section']) document.getElementById(id).replaceWith(page.getElementById(id));
      if (push) history.pushState(null, '', address);
      start();
      if (onRange) document.querySelector('[data-range][aria-current]')?.focus();
      else if (focused) document.getElementById(focused)?.focus();
      replaced();
    } catch {
      if (!signal.aborted) location.assign(address); // whose page says what is wrong
    }
  };
  addEventListener('popstate', () => load(location.href, false));

  start();
  return opened;
};
