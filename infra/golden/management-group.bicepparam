// The right to assess every VM under a management group, for an app that is deployed already.
using '../app/vm-management-group.bicep'

param principalId = '77777777-7777-7777-7777-777777777777'
