"""What every view needs: bodies, wire models, answers, OpenAPI, thread pools; must not know any single route."""
