// Follows the service's stream, and knows how fresh its newest price is. All ages
// are by the service's clock, which heartbeats tell: the visitor's may be wrong.

// Two heartbeats are missing and more: the connection is dead, whatever the
// browser takes it for.
const silence = 40000;
// A clock that gains this much on the other tells of a machine that slept.
const slept = 5000;
export const retryAfter = 5000;

// follow calls handlers.price, candle and forecast with the data of events,
// connected after each connect, missed where closed candles were left out, and
// tick every second and at each change with { state, age, marketTime }: state is
// live, stale, reconnecting or, before the first answer, empty; age is of the
// newest price in milliseconds, and marketTime now by the exchange's clock, both
// undefined where there was no price. staleAfter returns milliseconds.
export const follow = (address, staleAfter, handlers) => {
  let source = null;
  let connection = ''; // how it stands: '', open or lost
  let lastID = '';
  let heardAt = 0;
  let offset; // the service's clock minus performance.now()
  let newest = null;
  // Most browsers stop performance.now() while the machine sleeps, but not the
  // time of day.
  const lead = () => Date.now() - performance.now();
  let leadBefore = lead();

  const tell = () => {
    const known = newest && offset !== undefined;
    const age = known ? performance.now() + offset - Date.parse(newest.received_at) : undefined;
    const marketTime = known ? Date.parse(newest.event_time) + age : undefined;
    let state = '';
    if (connection === 'lost') state = 'reconnecting';
    else if (connection === 'open') state = age <= staleAfter() ? 'live' : 'stale';
    handlers.tick({ state, age, marketTime });
  };

  const connect = () => {
    if (source || document.hidden) return;
    const url = new URL(address, location.href);
    // The browser sends the ID by itself when it connects again, but not with a
    // new EventSource.
    if (lastID) url.searchParams.set('last_event_id', lastID);
    const opened = new EventSource(url);
    source = opened;
    heardAt = performance.now();
    const listen = (name, handle) => opened.addEventListener(name, (event) => {
      if (opened !== source) return;
      heardAt = performance.now();
      if (event.lastEventId) lastID = event.lastEventId;
      handle(JSON.parse(event.data));
    });
    listen('heartbeat', ({ time }) => {
      offset = Date.parse(time) - performance.now();
      tell();
    });
    listen('price', (price) => {
      newest = price;
      handlers.price(price);
      tell();
    });
    listen('candle', handlers.candle);
    listen('forecast', handlers.forecast);
    listen('missed', handlers.missed);
    opened.onopen = () => {
      if (opened !== source) return;
      heardAt = performance.now();
      connection = 'open';
      handlers.connected();
    };
    opened.onerror = () => {
      if (opened !== source) return;
      // A refusal is final for the browser; a lost connection it makes again.
      if (opened.readyState === EventSource.CLOSED) {
        disconnect();
        setTimeout(connect, retryAfter);
      } else {
        lose();
      }
    };
  };
  const lose = () => {
    connection = 'lost';
    tell();
  };
  const disconnect = () => {
    source?.close();
    source = null;
    lose();
  };
  const connectAnew = () => {
    disconnect();
    connect();
  };
  // noticeSleep forgets the service's clock after a sleep, with which every age
  // would be too small by its length, until the next heartbeat tells it.
  const noticeSleep = () => {
    const gained = lead() - leadBefore;
    leadBefore += gained;
    if (gained <= slept) return;
    offset = undefined;
    connectAnew();
  };

  // Browsers allow few connections to one host: a page that nobody sees keeps
  // none, and catches up when it is looked at again.
  document.addEventListener('visibilitychange', () => {
    noticeSleep();
    if (document.hidden) disconnect();
    else connect();
  });
  setInterval(() => {
    noticeSleep();
    // One that is being made may hang as well as one that stands.
    if (source && performance.now() - heardAt > silence) connectAnew();
    tell();
  }, 1000);
  connect();
};
