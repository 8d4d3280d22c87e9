// Made by `convergence plugin build`. The engine brings the language alone. What follows adds what a plugin needs of an
// environment, and makes what a plugin does not have say so: the same call must give the same answer on every machine.

const shown = (value) => (typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value)));
const writer =
  (level) =>
  (...values) =>
    write(level, values.map(shown).join(' '));

globalThis.console = {
  trace: writer('trace'),
  debug: writer('debug'),
  log: writer('info'),
  info: writer('info'),
  warn: writer('warn'),
  error: writer('error'),
};

/** UTF-8 only. A lone surrogate becomes U+FFFD. */
globalThis.TextEncoder = class TextEncoder {
  encode(text = '') {
    const bytes = unescape(encodeURIComponent(String(text).toWellFormed()));
    return Uint8Array.from(bytes, (byte) => byte.charCodeAt(0));
  }
};

/** UTF-8 only, and strict: what is not UTF-8 is a TypeError. A byte order mark is dropped. */
globalThis.TextDecoder = class TextDecoder {
  decode(bytes = new Uint8Array()) {
    const parts = [];
    for (let start = 0; start < bytes.length; start += 4096) {
      parts.push(String.fromCharCode(...bytes.subarray(start, start + 4096)));
    }
    try {
      return decodeURIComponent(escape(parts.join(''))).replace(/^\ufeff/, '');
    } catch {
      throw new TypeError('these bytes are not UTF-8 text');
    }
  }
};

const absent = (what, instead) => () => {
  throw new Error(`a plugin has no ${what}; ${instead}`);
};

const now = absent('clock', 'times arrive in what it is called with');
const RealDate = Date;

globalThis.Date = class Date extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) now();
    super(...parts);
  }

  static now() {
    now();
  }
};

Math.random = absent('randomness', 'derive what you need from what it is called with');
