/** What `preload.ts` is told, as a JSON file that `STAMPEDE_CHAOS_PLAN` names. */
export type PreloadPlan = {
  /** By service: the settings that name another process, and the proxy's port in front of that. */
  links: Record<string, { variable: string; port: number; otherwise?: string }[]>;
  /** A file per service; see `followClock`. */
  clockDir: string;
};
