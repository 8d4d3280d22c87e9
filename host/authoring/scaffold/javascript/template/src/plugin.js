// The language template `{{name}}`: how an application becomes an image and a service.
//
// As it was made it runs a `main.py` with Python and nothing else. Change `IMAGE`, `plan` and `starter.js` into what your
// language needs; `wit/template/template.wit` says what a plan may hold.

import { MAIN_PY } from './starter.js';

/** What applications run on, unless the caller names another image. */
const IMAGE = 'python:3.12-slim-bookworm';

/** Where they listen inside the container. */
const PORT = 8080;

/** What an application must have. */
const MAIN = 'main.py';

const FRAMEWORKS = ['plain'];

/** A case that the server holds against the plugin at install. */
const EXAMPLE = {
  name: 'the starter runs its own main.py',
  config: '{}',
  input: JSON.stringify({ tenantName: 'demo', architecture: 'amd64', memoryMb: 256 }),
  expect: JSON.stringify({ service: { command: ['python3', MAIN], port: PORT } }),
};

/**
 * A failure that the plugin foresees: thrown, it becomes an answer for the caller.
 *
 * @param {string} path
 * @param {string} message
 */
const invalidInput = (path, message) => ({ tag: 'invalid-input', val: [{ path, message }] });

/** @type {import('../build/types/plugin').Metadata} */
export const metadata = {
  describe() {
    return {
      id: '{{name}}',
      kind: 'template',
      name: '{{name}}',
      version: '0.1.0',
      summary: 'Runs main.py with Python.',
      configSchema: JSON.stringify({ type: 'object', additionalProperties: false }),
      examples: [EXAMPLE],
      extra: [],
    };
  },
};

/** @type {import('../build/types/plugin').Generator} */
export const generator = {
  languages() {
    return [{ name: '{{name}}', frameworks: FRAMEWORKS, versions: ['3.12'], images: [IMAGE] }];
  },

  /** The files whose contents `detect` and `plan` read: it is enough that main.py is there. */
  wants() {
    return [];
  },

  detect(request) {
    if (!request.source?.paths.includes(MAIN)) return null;
    // Others may know more about such an application; they shall win.
    return { confidence: 40, language: '{{name}}', reason: `it has a ${MAIN}` };
  },

  plan(request) {
    if (request.framework && !FRAMEWORKS.includes(request.framework)) {
      throw invalidInput('framework', `\`${request.framework}\` is not a framework of this template; leave it out`);
    }
    if (request.source && !request.source.paths.includes(MAIN)) {
      throw invalidInput(MAIN, 'there is no main.py; add one that listens on $PORT');
    }
    const image = request.baseImage ?? IMAGE;
    const starter = { path: MAIN, contents: new TextEncoder().encode(MAIN_PY), executable: false };
    return {
      files: request.source ? [] : [starter],
      stages: [
        {
          name: 'run',
          base: { tag: 'image', val: image },
          steps: [
            { tag: 'workdir', val: '/app' },
            {
              tag: 'copy',
              val: request.source
                ? { origin: { tag: 'source' }, paths: ['.'], destination: '/app/' }
                : { origin: { tag: 'plan' }, paths: [MAIN], destination: '/app/' },
            },
          ],
        },
      ],
      service: {
        command: ['python3', MAIN],
        port: PORT,
        health: {
          // An application of one's own need not have such a path.
          probe: request.source ? { tag: 'tcp' } : { tag: 'http', val: '/health' },
          intervalSeconds: 30,
          timeoutSeconds: 5,
          retries: 3,
          startPeriodSeconds: 30,
        },
        env: [],
        writable: [],
        volumes: [],
        stopSignal: 'SIGTERM',
        stopGraceSeconds: 10,
        minMemoryMb: 64,
        extra: [],
      },
      notes: [`${MAIN} on \`${image}\`.`],
      extra: [],
    };
  },
};
