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

/** The function `name` of an exported object, guarded. */
export function guarded(write, exported, name, place, result) {
  const call = exported?.[name];
  if (typeof call !== 'function') {
    throw new Error(`src/plugin.js must export an object ${place.split('.')[0]} with a function ${name}`);
  }
  const [ok, failure] = result?.result ?? [result, undefined];
  return (...values) => {
    let answer;
    try {
      answer = call.apply(exported, values);
    } catch (error) {
      const foreseen = failure !== undefined && wrong(failure, error, '') === undefined;
      if (!foreseen) write('error', error instanceof Error ? `${error}\n${error.stack}` : `${place} threw ${shown(error)}`);
      throw error;
    }
    const problem = wrong(ok, answer, '');
    if (problem !== undefined) {
      write('error', `${place}: ${problem}`);
      throw new Error(problem);
    }
    return answer;
  };
}
