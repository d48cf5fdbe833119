#!/usr/bin/env node
console.error('svd: not built yet');
