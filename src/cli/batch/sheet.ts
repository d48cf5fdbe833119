/** The contact sheet of many videos: index.html, which needs nothing but the videos beside it. */
import { sep } from 'node:path';
import { hasEnding } from '../../text/endings.ts';
import { counted } from '../../text/messages.ts';
import { clock } from '../terminal/progress.ts';
import { type Outcome, settingsOf, videosOf } from './report.ts';

/** What tells a sheet of this program from other pages. */
export const SHEET_MARK = '<meta name="generator" content="stable-video-diffusion-tfjs">';

const states: Record<Outcome['state'], string> = {
  ...{ done: 'done', complete: 'done', failed: 'failed', open: 'not made yet' },
};

/** The page for videos in a folder. */
export function contactSheet(outcomes: Outcome[], folder: string): string {
  const words = outcomes.map(({ state }) => states[state]);
  const counts = [...new Set(words)].map(
    (word) => `${words.filter((one) => one === word).length} ${word}`,
  );
  const cards = outcomes.flatMap((outcome) =>
    videosOf(outcome, folder).map((path, i) => card(outcome, path, i)),
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
${SHEET_MARK}
<title>Videos</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${counted(outcomes.length, 'picture')}</h1>
<p>${counts.join(', ')}. <a href="report.csv">report.csv</a> has all settings.</p>
</header>
<main>
${cards.join('\n')}
</main>
</body>
</html>
`;
}

const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

const addressOf = (path: string) => path.split(sep).map(encodeURIComponent).join('/');

function card(outcome: Outcome, path: string, index: number): string {
  const { item, state, sidecar, error } = outcome;
  const { width, height, numFrames, fps, seeds } = sidecar?.settings ?? item.command;
  const size = width && height && `${width}x${height}`;
  const seed = seeds.length > 1 ? seeds[index] : seeds[0];
  const facts = [
    ...[size, numFrames && `${counted(numFrames, 'frame')} at ${fps}/s`],
    ...[seed !== undefined && `seed ${seed}`, sidecar && clock(sidecar.seconds)],
  ].filter(Boolean);
  const rows = settingsOf(outcome)
    .filter(([, text]) => text !== '')
    .map(([name, text]) => `<dt>${name}</dt><dd>${escaped(text)}</dd>`);
  return `<figure class="${state}">
${sidecar ? player(path, sidecar.videos[index].poster, item.command.images[0]) : '<div class="frame"></div>'}
<figcaption>
<strong>${escaped(item.command.images[0])}</strong>
<span>${sidecar ? `<a href="${addressOf(path)}">${escaped(path)}</a>` : states[state]}</span>
${error === undefined ? '' : `<p class="error">${escaped(error)}</p>`}
<span>${facts.join(' · ')}</span>
<details><summary>Settings</summary><dl>${rows.join('')}</dl></details>
</figcaption>
</figure>`;
}

function player(path: string, poster: string | undefined, picture: string): string {
  const address = addressOf(path);
  const label = `aria-label="${escaped(picture)}"`;
  if (hasEnding(path, '.mp4', '.webm'))
    return `<video class="frame" controls loop muted playsinline preload="none" ${label} src="${address}"${poster ? ` poster="${poster}"` : ''}></video>`;
  const source = hasEnding(path, '.gif', '.webp') ? address : poster;
  if (source === undefined) return '<div class="frame"></div>';
  return `<a href="${address}"><img class="frame" loading="lazy" alt="${escaped(picture)}" src="${source}"></a>`;
}

const style = `
:root { color-scheme: light dark; --back: #fff; --card: #f3f4f6; --text: #1f2328; --soft: #57606a; --link: #0550ae; --bad: #b42318; }
@media (prefers-color-scheme: dark) {
  :root { --back: #16181c; --card: #23262c; --text: #e6e8eb; --soft: #a5adb8; --link: #7db8ff; --bad: #ff9b91; }
}
body { margin: 0; padding: 1.5rem; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.4rem; }
header p { margin: 0.2rem 0 1.2rem; color: var(--soft); }
a { color: var(--link); }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1rem; align-items: start; }
figure { margin: 0; overflow: hidden; border-radius: 8px; background: var(--card); }
.frame { display: block; width: 100%; aspect-ratio: 16 / 9; object-fit: contain; background: #000; }
div.frame { background: repeating-linear-gradient(45deg, transparent 0 10px, #8883 10px 20px); }
figcaption { display: grid; gap: 0.2rem; padding: 0.7rem 0.9rem; overflow-wrap: anywhere; }
figcaption span, summary, dl { color: var(--soft); font-size: 0.9em; }
.error { margin: 0; color: var(--bad); }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0 0.8rem; margin: 0.4rem 0 0; }
dt, dd { margin: 0; }
`;
