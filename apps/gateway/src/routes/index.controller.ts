import { Controller, Get } from '@nestjs/common';
import { Public } from '#libs/service-kit';

/** Where to go from here, for whoever opens the address that `npm run shop` prints. */
@Controller()
@Public()
export class IndexController {
  @Get()
  index(): Record<string, string> {
    return {
      name: 'Stampede',
      docs: '/docs',
      openapi: '/docs/json',
      shows: '/api/shows',
      health: '/health/ready',
      metrics: '/metrics',
    };
  }
}
