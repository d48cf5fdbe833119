/** Order of names that end with numbers. */

/** Compares names so that `step_2` comes before `step_10`. */
export const byNumber: (a: string, b: string) => number = new Intl.Collator('en', {
  numeric: true,
}).compare;
