import { nanoid } from "nanoid";

export function greet(name: string): string {
  return `Hello from ${name}, request ${nanoid(8)}\n`;
}
