// Made by `convergence plugin build`. Stands between the host and a function of the plugin: what is thrown unforeseen, and
// an answer that does not fit the contract, is told to the operator before the call fails.

const INTEGERS = {
  u8: [0, 0xff],
  u16: [0, 0xffff],
  u32: [0, 0xffffffff],
  s8: [-0x80, 0x7f],
  s16: [-0x8000, 0x7fff],
  s32: [-0x80000000, 0x7fffffff],
};

const camel = (name) => name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());

const shown = (value) => {
  const text = typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};

/** Why `value` is not of this shape; undefined when it is. */
function wrong(shape, value, path) {
  const is = (what) => `${path || 'the answer'} must be ${what}, and is ${shown(value)}`;
  if (shape === null) return undefined;
  if (typeof shape === 'string') {
    if (shape in INTEGERS) {
      const [least, most] = INTEGERS[shape];
      const fits = Number.isInteger(value) && value >= least && value <= most;
      return fits ? undefined : is(`an integer from ${least} to ${most}`);
    }
    if (shape === 'string') return typeof value === 'string' ? undefined : is('a string');
    if (shape === 'bool') return typeof value === 'boolean' ? undefined : is('true or false');
    if (shape === 'bytes') return value instanceof Uint8Array ? undefined : is('a Uint8Array');
    return undefined;
  }
  const [[kind, inner]] = Object.entries(shape);
  switch (kind) {
    case 'option':
      return value === undefined || value === null ? undefined : wrong(inner, value, path);
    case 'enum':
      return inner.includes(value) ? undefined : is(`one of ${inner.join(', ')}`);
    case 'list':
      if (!Array.isArray(value)) return is('an array');
      return first(value.map((item, place) => [inner, item, `${path}[${place}]`]));
    case 'record': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return is('an object');
      const fields = Object.entries(inner).map(([name, field]) => [camel(name), field]);
      const known = new Set(fields.map(([name]) => name));
      const stray = Object.keys(value).find((name) => !known.has(name));
      if (stray !== undefined) return `${path || 'the answer'} has no field ${stray}; it has ${[...known].join(', ')}`;
      return first(fields.map(([name, field]) => [field, value[name], path ? `${path}.${name}` : name]));
    }
    case 'variant': {
      const cases = Object.keys(inner);
      const tag = typeof value === 'object' && value !== null ? value.tag : undefined;
      if (!cases.includes(tag)) return is(`{ tag, val } with a tag of ${cases.join(', ')}`);
      return wrong(inner[tag], value.val, path ? `${path}.val` : 'val');
    }
    default:
      return undefined;
  }
}

function first(checks) {
  for (const [shape, value, path] of checks) {
    const problem = wrong(shape, value, path);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/**
 * A copy of a value of this shape, with each u32 in it made what the other side means by it. The engine hands over and takes
 * a u32 as the bits of an s32: from 2³¹ on it is negative.
 */
function each(shape, value, to) {
  if (shape === 'u32') return to(value);
  if (typeof shape !== 'object' || shape === null || value === undefined || value === null) return value;
  const [[kind, inner]] = Object.entries(shape);
  switch (kind) {
    case 'option':
      return each(inner, value, to);
    case 'list':
      return value.map((item) => each(inner, item, to));
    case 'record':
      return Object.fromEntries(Object.entries(inner).map(([name, field]) => [camel(name), each(field, value[camel(name)], to)]));
    case 'variant':
      return { tag: value.tag, val: each(inner[value.tag], value.val, to) };
    default:
      return value;
  }
}

const arrived = (number) => number >>> 0;
const leaving = (number) => number | 0;

/** What was thrown. An error of the contract's, such as one of `math`, is in an error's payload. */
function told(error, place) {
  if (!(error instanceof Error)) return `${place} threw ${shown(error)}`;
  return error.payload === undefined ? `${error}` : `${error.name}: ${shown(error.payload)}`;
}

/** The function `name` of an exported object, guarded. */
export function guarded(write, exported, name, place, parameters, result) {
  const call = exported?.[name];
  if (typeof call !== 'function') {
    throw new Error(`src/plugin.js must export an object ${place.split('.')[0]} with a function ${name}`);
  }
  const [ok, failure] = result?.result ?? [result, undefined];
  return (...values) => {
    let answer;
    try {
      answer = call.apply(exported, values.map((value, position) => each(parameters[position], value, arrived)));
    } catch (error) {
      if (failure !== undefined && wrong(failure, error, '') === undefined) throw error;
      const text = told(error, place);
      write('error', error instanceof Error ? `${text}\n${error.stack}` : text);
      throw error instanceof Error && error.payload === undefined ? error : new Error(text);
    }
    const problem = wrong(ok, answer, '');
    if (problem !== undefined) {
      write('error', `${place}: ${problem}`);
      throw new Error(problem);
    }
    return each(ok, answer, leaving);
  };
}
