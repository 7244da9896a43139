// Numbers and times in the words of the page, as the server writes them.

const noBreak = '\u00a0';
const clock = (iso) => iso.slice(11, 19).replace(/:00$/, '');

export const numbers = (decimals) => {
  const format = new Intl.NumberFormat('en-GB', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return (value) => format.format(value).replace('-', '−');
};

// signed writes a plus sign before what is above zero; what is rounded to zero
// has no sign.
export const signed = (decimals) => {
  const write = numbers(decimals);
  return (value) => {
    const text = write(Math.abs(value));
    if (!/[1-9]/.test(text)) return text;
    return (value > 0 ? '+' : '−') + text;
  };
};

// share writes a share in [0, 1] in percent.
export const share = (value, decimals) => numbers(decimals)(100 * value) + noBreak + '%';

// instant writes a time to the minute, to the second where it is not on one.
export const instant = (milliseconds) => {
  const iso = new Date(milliseconds).toISOString();
  return `${iso.slice(0, 10)} ${clock(iso)}${noBreak}UTC`;
};

const twoDigits = (n) => String(n).padStart(2, '0');

// span writes a length of time in two units at most.
export const span = (milliseconds) => {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  if (days >= 2) return `${days}${noBreak}days`;
  if (hours > 0) return `${hours}${noBreak}h ${minutes % 60}${noBreak}min`;
  if (minutes > 0) return `${minutes}${noBreak}min ${twoDigits(seconds % 60)}${noBreak}s`;
  return `${seconds}${noBreak}s`;
};

// countdown writes what is left until an instant as a clock does.
export const countdown = (milliseconds) => {
  const seconds = Math.ceil(milliseconds / 1000);
  const [hours, days] = [3600, 86400].map((unit) => Math.floor(seconds / unit));
  const rest = `${twoDigits(Math.floor(seconds / 60) % 60)}:${twoDigits(seconds % 60)}`;
  if (days > 0) return `${days}${noBreak}d ${twoDigits(hours % 24)}:${rest}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
};
