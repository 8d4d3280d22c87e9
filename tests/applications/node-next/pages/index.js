import Link from "next/link";

export default function Home() {
  return (
    <main>
      <h1>Hello from node-next</h1>
      <Link href="/first">the first page</Link>
    </main>
  );
}
