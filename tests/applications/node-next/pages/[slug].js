export function getServerSideProps({ params }) {
  return { props: { slug: params.slug } };
}

export default function Page({ slug }) {
  return <h1>{`node-next has the slug ${slug}`}</h1>;
}
