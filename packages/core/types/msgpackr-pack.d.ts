// Its own declaration imports '.', which no ESM resolution finds.
export { Packr } from 'msgpackr';
