/** The element of the page that has an id. */
export const element = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
