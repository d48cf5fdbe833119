export default function Page() {
  return <p>The video is at /api/v.</p>;
}
