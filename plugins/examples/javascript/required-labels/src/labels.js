// What labels a tenant must have. Nothing here knows of components: it is plain data in, plain data out.

/**
 * A label that must be there.
 *
 * @typedef {object} Rule
 * @property {string} key
 * @property {string[]} [values] The only values it may have.
 * @property {string} [pattern] What every value must match: a regular expression.
 * @property {string[]} [onPlans] The subscription plans it is asked for on; on all of them when this is left out.
 */

/**
 * What is wrong with the labels of a tenant, one message a label.
 *
 * @param {Rule[]} rules
 * @param {string} plan
 * @param {Map<string, string>} labels
 */
export function problems(rules, plan, labels) {
  const found = [];
  for (const { key, values, pattern, onPlans } of rules) {
    if (onPlans && !onPlans.includes(plan)) continue;
    const value = labels.get(key);
    if (value === undefined) {
      found.push({ key, code: 'label-missing', message: `the label \`${key}\` is missing${hint(values)}` });
    } else if (values && !values.includes(value)) {
      found.push({ key, code: 'label-not-allowed', message: `\`${value}\` is no value of the label \`${key}\`${hint(values)}` });
    } else if (pattern && !new RegExp(pattern, 'u').test(value)) {
      found.push({ key, code: 'label-not-allowed', message: `\`${value}\` of the label \`${key}\` does not match ${pattern}` });
    }
  }
  return found;
}

/** @param {string[] | undefined} values */
const hint = (values) => (values ? `; use one of ${values.join(', ')}` : '');
