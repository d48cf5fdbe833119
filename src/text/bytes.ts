/** Amounts of memory and disk as people read them. */

/** An amount of memory, rounded up below a gibibyte: `7.3 GiB` or `512 MiB`. */
export function formatBytes(bytes: number): string {
  return bytes < 2 ** 30
    ? `${Math.ceil(bytes / 2 ** 20)} MiB`
    : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** An amount of disk in the decimal units of file systems and the hub: `1.2 GB` or `64.0 MB`. */
export function formatFileSize(bytes: number): string {
  return formatShare(bytes, bytes).split(' of ')[1];
}

/** A part of an amount of disk, in the unit of the whole: `1.2 of 4.6 GB`. */
export function formatShare(part: number, whole: number): string {
  const [unit, size] = whole >= 1e9 ? ['GB', 1e9] : whole >= 1e6 ? ['MB', 1e6] : ['kB', 1e3];
  return `${(part / size).toFixed(1)} of ${(whole / size).toFixed(1)} ${unit}`;
}
