// A validation policy: new tenants must carry labels.

import { problems } from './labels.js';

/** What the operator may set, as JSON Schema; forms are drawn from it. */
const CONFIG_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  additionalProperties: false,
  properties: {
    labels: {
      title: 'Required labels',
      type: 'array',
      default: [],
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['key'],
        properties: {
          key: { title: 'Label', type: 'string', minLength: 1 },
          values: { title: 'Allowed values', type: 'array', items: { type: 'string' }, minItems: 1 },
          pattern: { title: 'Pattern', description: 'A regular expression for its value.', type: 'string' },
          onPlans: { title: 'Only on these plans', type: 'array', items: { type: 'string' } },
        },
      },
    },
  },
};

/** A case that the server holds against the plugin at install. */
const EXAMPLE = {
  name: 'a label that is missing',
  config: JSON.stringify({ labels: [{ key: 'team' }] }),
  input: JSON.stringify({
    action: 'spawn',
    organization: { id: '1', name: 'Example', plan: '', usage: { tenants: 0, cpuMillis: 0, memoryMb: 0, diskMb: 0 } },
    actorRole: 'admin',
    tenantName: 'shop',
    language: 'node',
    source: 'starter',
    limits: { cpuMillis: 500, memoryMb: 512, diskMb: 2048, replicas: 1, pids: 256 },
  }),
  expect: JSON.stringify({
    violations: [
      { path: 'labels.team', code: 'label-missing', message: 'the label `team` is missing', severity: 'deny' },
    ],
  }),
};

/** @type {import('../build/types/plugin').Metadata} */
export const metadata = {
  describe() {
    return {
      id: 'required-labels',
      kind: 'policy',
      name: 'Required labels',
      version: '0.1.0',
      summary: 'Refuses new tenants without the labels that the operator asks for.',
      configSchema: JSON.stringify(CONFIG_SCHEMA),
      examples: [EXAMPLE],
      extra: [],
    };
  },
};

/**
 * The operator's rules. A pattern that is no regular expression passes the schema, so it is found here.
 *
 * @param {string} config
 * @returns {import('./labels.js').Rule[]}
 */
function rules(config) {
  const { labels = [] } = JSON.parse(config);
  for (const [place, { pattern }] of labels.entries()) {
    try {
      new RegExp(pattern ?? '', 'u');
    } catch (error) {
      throw { tag: 'invalid-config', val: [{ path: `labels[${place}].pattern`, message: String(error) }] };
    }
  }
  return labels;
}

/** @type {import('../build/types/plugin').Evaluator} */
export const evaluator = {
  evaluate(review) {
    const asked = rules(review.config);
    // Labels come with the request; what exists already is left alone.
    if (review.action !== 'spawn') return { violations: [] };
    const labels = new Map(review.labels.map(({ key, value }) => [key, value]));
    const found = problems(asked, review.organization.plan, labels);
    return {
      violations: found.map(({ key, code, message }) => ({ path: `labels.${key}`, code, message, severity: 'deny' })),
    };
  },
};
