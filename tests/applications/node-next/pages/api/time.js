export default function handler(_, response) {
  response.json({ time: new Date().toISOString() });
}
