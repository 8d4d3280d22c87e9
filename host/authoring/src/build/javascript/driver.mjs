// Run by Node in a project's folder: entry module, WIT folder, world, output.
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [entry, wit, world, output] = process.argv.slice(-4);
const folder = process.cwd();
const { componentize } = createRequire(join(folder, 'package.json'))('componentize-qjs');

try {
  const { component } = await componentize({
    jsSource: await readFile(entry, 'utf8'),
    jsPath: resolve(entry),
    moduleRoot: folder,
    witPath: wit,
    world,
    // What the engine would ask of an operating system: a plugin has none.
    stubWasi: true,
    // No call of the contract is asynchronous.
    sync: true,
  });
  await writeFile(output, component);
} catch (error) {
  console.error(String(error?.message ?? error).replace(/^[:\s]+/, ''));
  process.exit(1);
}
