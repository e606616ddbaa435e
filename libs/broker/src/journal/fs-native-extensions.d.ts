/** The one call of the package that we make; it brings no types. */
declare module 'fs-native-extensions' {
  /** Locks the file for this open of it alone; false when another has it. Throws what the kernel says. */
  export function tryLock(fd: number): boolean;
}
