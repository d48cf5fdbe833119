/** The user's home folder, which not every process has. */
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';

/** The home folder, or undefined if neither `HOME` nor the system's list of users has one. */
export function homeFolder(): string | undefined {
  try {
    return homedir() || userInfo().homedir || undefined;
  } catch {
    return undefined;
  }
}

/** The folder of this package's own data below `dataFolder`. */
export function ownDataFolder(): string | undefined {
  const data = dataFolder();
  return data && join(data, 'stable-video-diffusion-tfjs');
}

/** The folder of the user's programs for data: `$XDG_DATA_HOME`, or `~/.local/share`. */
export function dataFolder(): string | undefined {
  const home = homeFolder();
  return process.env.XDG_DATA_HOME || (home && `${home}/.local/share`);
}
