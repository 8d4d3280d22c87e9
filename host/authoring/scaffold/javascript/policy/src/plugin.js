// The validation policy `{{name}}`: whether a change to a tenant may happen.
//
// As it was made it keeps some names back. Change the configuration and `evaluate` into your own rule;
// `wit/policy/policy.wit` says what a policy sees and what it may answer.

const DEFAULT_RESERVED = ['admin', 'root', 'www'];

/** What the operator may set, as JSON Schema; forms are drawn from it. */
const CONFIG_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  additionalProperties: false,
  properties: {
    reserved: {
      title: 'Reserved names',
      description: 'Names that no new tenant may have.',
      type: 'array',
      items: { type: 'string' },
      default: DEFAULT_RESERVED,
    },
  },
};

/** A case that the server holds against the plugin at install. */
const EXAMPLE = {
  name: 'a reserved name is refused',
  config: JSON.stringify({ reserved: ['admin'] }),
  input: JSON.stringify({
    action: 'spawn',
    organization: { id: '1', name: 'Example', plan: '', usage: { tenants: 0, cpuMillis: 0, memoryMb: 0, diskMb: 0 } },
    actorRole: 'admin',
    tenantName: 'admin',
    language: 'node',
    source: 'starter',
    limits: { cpuMillis: 500, memoryMb: 512, diskMb: 2048, replicas: 1, pids: 256 },
  }),
  expect: JSON.stringify({
    violations: [
      {
        path: 'name',
        code: 'name-reserved',
        message: '`admin` is kept back here; choose another name',
        severity: 'deny',
      },
    ],
  }),
};

/** @type {import('../build/types/plugin').Metadata} */
export const metadata = {
  describe() {
    return {
      id: '{{name}}',
      kind: 'policy',
      name: '{{name}}',
      version: '0.1.0',
      summary: 'Keeps some names of tenants back.',
      configSchema: JSON.stringify(CONFIG_SCHEMA),
      examples: [EXAMPLE],
      extra: [],
    };
  },
};

/** @type {import('../build/types/plugin').Evaluator} */
export const evaluator = {
  evaluate(review) {
    const { reserved = DEFAULT_RESERVED } = JSON.parse(review.config);
    // A tenant that has such a name already can still be stopped and destroyed.
    if (review.action !== 'spawn' || !reserved.includes(review.tenantName)) {
      return { violations: [] };
    }
    const message = `\`${review.tenantName}\` is kept back here; choose another name`;
    return { violations: [{ path: 'name', code: 'name-reserved', message, severity: 'deny' }] };
  },
};
