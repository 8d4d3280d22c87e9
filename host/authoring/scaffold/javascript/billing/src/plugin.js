// The billing policy `{{name}}`: what usage costs.
//
// As it was made each unit of one meter has one price. Change the configuration, `terms` and `rate` into your own prices;
// `wit/billing/billing.wit` says what a policy is given, and what the host checks of its answer. Quantities and money are
// decimals as text: only the functions of `math` compute with them. JavaScript's numbers would lose cents.

import { mul, sub } from 'convergence:host/math@0.1.0';

/** Names what is measured, in `terms` and in lines. */
const NEED = 'usage';

const DEFAULTS = { meter: 'api.requests', unitPrice: '0.01' };

/** What the operator may set, as JSON Schema; forms are drawn from it. */
const CONFIG_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  additionalProperties: false,
  properties: {
    meter: {
      title: 'Meter',
      description: 'What is counted.',
      type: 'string',
      default: DEFAULTS.meter,
    },
    unitPrice: {
      title: 'Price of a unit',
      description: 'In the currency of the subscription, as a decimal in quotation marks.',
      type: 'string',
      pattern: '^[0-9]{1,9}(\\.[0-9]{1,9})?$',
      default: DEFAULTS.unitPrice,
    },
  },
};

const JANUARY = { start: '2026-01-01T00:00:00Z', end: '2026-02-01T00:00:00Z' };

/** A case that the server holds against the plugin at install. */
const EXAMPLE = {
  name: 'each unit has its price',
  config: '{}',
  input: JSON.stringify({
    organization: '1',
    subscription: 's-1',
    currency: 'EUR',
    minorDigits: 2,
    timezone: 'UTC',
    period: JANUARY,
    asOf: JANUARY.end,
    segments: [{ span: JANUARY, seats: '1' }],
    usage: [{ need: NEED, meter: DEFAULTS.meter, unit: 'request', quantity: '1250', alreadyInvoiced: '0' }],
  }),
  expect: JSON.stringify({ draws: [], waived: [] }),
};

/** @type {(config: string) => typeof DEFAULTS} */
const settings = (config) => ({ ...DEFAULTS, ...JSON.parse(config) });

/** @type {import('../build/types/plugin').Metadata} */
export const metadata = {
  describe() {
    return {
      id: '{{name}}',
      kind: 'billing',
      name: '{{name}}',
      version: '0.1.0',
      summary: 'Bills each unit of a meter at one price.',
      configSchema: JSON.stringify(CONFIG_SCHEMA),
      examples: [EXAMPLE],
      extra: [],
    };
  },
};

/** @type {import('../build/types/plugin').Rater} */
export const rater = {
  /** Which usage the host must compute before it asks for a rating. */
  terms(config) {
    return {
      currencies: [],
      rounding: 'half-even',
      needs: [
        {
          id: NEED,
          meter: settings(config).meter,
          aggregation: { tag: 'sum' },
          groupBy: [],
          bucketing: { tag: 'segment' },
        },
      ],
    };
  },

  /** The same input must give the same answer: invoices are replayed. */
  rate(input) {
    const { unitPrice } = settings(input.config);
    const lines = [];
    for (const series of input.usage) {
      const open = sub(series.quantity, series.alreadyInvoiced);
      if (open === '0') continue;
      const amount = mul(open, unitPrice);
      lines.push({
        key: NEED,
        kind: open.startsWith('-') ? 'correction' : 'usage',
        title: series.meter,
        need: series.need,
        dimensions: series.dimensions,
        span: input.period,
        quantity: open,
        unit: series.unit,
        amount,
        steps: [
          {
            kind: 'unit',
            rule: 'unitPrice',
            text: `${open} at ${unitPrice} ${input.currency}`,
            quantity: open,
            unitPrice,
            amount,
          },
        ],
        extra: [],
      });
    }
    return { lines, draws: [], waived: [], carryOut: [], extra: [] };
  },

  /** What the host watches between invoices: nothing. */
  limits() {
    return [];
  },
};
